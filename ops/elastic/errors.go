package elastic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"syscall"

	"twokey/ops"
)

// translate turns an error of a call into one for people; Unwrap gives the original.
// A cancelled context stays what it is.
func (c Cluster) Translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	e := &ops.UserError{Err: err}
	var answer *APIError
	var network net.Error
	switch {
	case errors.As(err, &answer):
		c.translateAnswer(e, answer)
	case strings.Contains(err.Error(), "not Elasticsearch"):
		e.What = fmt.Sprintf("What answers for %s is not Elasticsearch.", c.Environment)
		e.Next = "Check the urls of this environment's elasticsearch in the configuration."
	case errors.Is(err, ErrAnswer):
		e.What = fmt.Sprintf("The Elasticsearch of %s gave an answer that cannot be read.", c.Environment)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		e.What = fmt.Sprintf("The Elasticsearch of %s did not answer in time%s.", c.Environment, at(err))
		e.Next = "Its state is unknown. Try again, or look at its master's load."
	case errors.Is(err, syscall.ECONNREFUSED):
		e.What = fmt.Sprintf("The Elasticsearch of %s refused the connection%s.", c.Environment, at(err))
		e.Next = "Its state is unknown. Check that its nodes run."
	default:
		e.What = fmt.Sprintf("The Elasticsearch of %s cannot be reached%s.", c.Environment, at(err))
		e.Next = "Its state is unknown. Check its nodes, the network and the configured urls."
	}
	return e
}

func (c Cluster) translateAnswer(e *ops.UserError, answer *APIError) {
	switch {
	case answer.Status == http.StatusUnauthorized:
		e.What = fmt.Sprintf("The Elasticsearch of %s refused Twokey's login.", c.Environment)
		e.Next = "Check this environment's username and password, or API key."
	case answer.Status == http.StatusForbidden && answer.Type == "security_exception":
		e.What = fmt.Sprintf("The Elasticsearch of %s does not allow Twokey to do this: %s.", c.Environment, strings.TrimSuffix(answer.Reason, "."))
		e.Next = "Reading needs the cluster privilege monitor, draining needs manage."
	case answer.Type == "master_not_discovered_exception",
		answer.Type == "cluster_block_exception" && !strings.HasPrefix(answer.Reason, "index ["): // those are an index' own
		e.What = fmt.Sprintf("The Elasticsearch of %s has no elected master at the moment.", c.Environment)
		e.Next = "Its state is unknown until one is elected."
	case answer.Type == "process_cluster_event_timeout_exception":
		e.What = fmt.Sprintf("The master of %s did not get round to it in time.", c.Environment)
		e.Next = "Look at its pending tasks."
	case answer.Status == http.StatusTooManyRequests:
		e.What = fmt.Sprintf("The Elasticsearch of %s is overloaded and turned the request away.", c.Environment)
	case answer.Reason != "":
		e.What = fmt.Sprintf("The Elasticsearch of %s answered %d: %s.", c.Environment, answer.Status, strings.TrimSuffix(answer.Reason, "."))
	default:
		e.What = fmt.Sprintf("The Elasticsearch of %s answered %d.", c.Environment, answer.Status)
	}
}

// at is " at host:port" for errors of the network that know it, for the end of a clause.
func at(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		return " at " + op.Addr.String()
	}
	return ""
}

// pick is the cluster of an environment, or an error that names those that have one.
func Pick(clusters map[string]Cluster, environment string) (Cluster, error) {
	if c, ok := clusters[environment]; ok {
		return c, nil
	}
	var names []string
	for name := range clusters {
		names = append(names, name)
	}
	sort.Strings(names)
	e := &ops.UserError{What: fmt.Sprintf("Environment %s has no Elasticsearch.", environment)}
	if len(names) == 0 {
		e.What = "No environment has an Elasticsearch."
		e.Next = "Add elasticsearch to an environment in the configuration."
	} else {
		e.Next = fmt.Sprintf("These have one: %s.", strings.Join(names, ", "))
	}
	return Cluster{}, e
}
