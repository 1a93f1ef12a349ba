package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"twokey/deploy"
	"twokey/ops"
)

// target is where a name is to point, and how that was found.
type target struct {
	address string // an IP address or a host name
	how     string // "instance i-0abc (wsstage-wsLoadBalancer)"
}

// target finds where one name is to point, of what was typed after --to.
func (s Site) target(ctx context.Context, cfg aws.Config, name, to string) (target, error) {
	kind, what, ok := strings.Cut(to, ":")
	if !ok || what == "" {
		return target{}, unclear(to)
	}
	switch kind {
	case "ip":
		ip := net.ParseIP(what)
		if ip == nil {
			return target{}, &ops.UserError{What: fmt.Sprintf("%q is no IP address", what), Next: "Write it like ip:192.0.2.7."}
		}
		return target{ip.String(), "typed"}, nil
	case "name":
		if !hostName(bare(what)) {
			return target{}, &ops.UserError{What: fmt.Sprintf("%q is no host name", what), Next: "Write it like name:lb.example.org."}
		}
		return target{bare(what), "typed"}, nil
	case "instance":
		return s.instance(ctx, cfg, what)
	case "stack":
		stack, key, _ := strings.Cut(what, "#")
		if from, ok := s.Records[name]; ok && key == "" {
			kind, what, _ := strings.Cut(strings.ReplaceAll(from, "{stack}", stack), ":")
			if kind == "instance" {
				if _, err := s.outputs(ctx, cfg, stack); err != nil {
					return target{}, err // the stack must exist, whatever its instances are called
				}
				return s.instance(ctx, cfg, what)
			}
			return s.output(ctx, cfg, stack, what)
		}
		return s.output(ctx, cfg, stack, key)
	}
	return target{}, unclear(to)
}

func unclear(to string) error {
	return &ops.UserError{What: fmt.Sprintf("--to %s says not where the name is to point", to), Next: "Give stack:STACK, stack:STACK#OUTPUT, instance:NAME, ip:ADDRESS or name:HOST."}
}

// instance finds the one running instance with this Name tag.
func (s Site) instance(ctx context.Context, cfg aws.Config, name string) (target, error) {
	in := &ec2.DescribeInstancesInput{Filters: []types.Filter{
		{Name: aws.String("tag:Name"), Values: []string{name}}, {Name: aws.String("instance-state-name"), Values: []string{"running"}},
	}}
	api := ec2.NewFromConfig(cfg)
	var found []types.Instance
	for {
		out, err := api.DescribeInstances(ctx, in)
		if err != nil {
			return target{}, s.Explain(err)
		}
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				named := slices.ContainsFunc(i.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == "Name" && aws.ToString(t.Value) == name })
				if named && i.State != nil && i.State.Name == types.InstanceStateNameRunning {
					found = append(found, i)
				}
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			break
		}
	}
	switch len(found) {
	case 0:
		return target{}, &ops.UserError{What: fmt.Sprintf("no running instance in %s is named %s", s.Where(), name), Next: "Check the stack and the name; the name must match exactly."}
	case 1:
	default:
		var ids []string
		for _, i := range found {
			ids = append(ids, aws.ToString(i.InstanceId))
		}
		return target{}, &ops.UserError{What: fmt.Sprintf("%d running instances in %s are named %s: %s", len(found), s.Where(), name, strings.Join(ids, ", ")), Next: "Which one is meant cannot be guessed: give its address, --to ip:ADDRESS."}
	}
	i := found[0]
	address := aws.ToString(i.PublicIpAddress)
	if address == "" {
		address = aws.ToString(i.PrivateIpAddress)
	}
	if address == "" {
		return target{}, &ops.UserError{What: fmt.Sprintf("instance %s (%s) has no address", aws.ToString(i.InstanceId), name), Next: "Wait until it runs."}
	}
	return target{address, fmt.Sprintf("instance %s (%s)", aws.ToString(i.InstanceId), name)}, nil
}

func (s Site) outputs(ctx context.Context, cfg aws.Config, stack string) (map[string]string, error) {
	out, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	var api smithy.APIError
	if errors.As(err, &api) && strings.Contains(api.ErrorMessage(), "does not exist") {
		return nil, &ops.UserError{What: fmt.Sprintf("there is no stack %s in %s", stack, s.Where()), Next: "Check the name and the environment."}
	}
	if err != nil {
		return nil, s.Explain(err)
	}
	values := map[string]string{}
	for _, x := range out.Stacks {
		for _, o := range x.Outputs {
			values[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
		}
	}
	return values, nil
}

// output reads an address from a stack's output; without a key from the only one that is
// an address.
func (s Site) output(ctx context.Context, cfg aws.Config, stack, key string) (target, error) {
	values, err := s.outputs(ctx, cfg, stack)
	if err != nil {
		return target{}, err
	}
	var fit []string
	for k, v := range values {
		if addressIn(v) != "" {
			fit = append(fit, k)
		}
	}
	slices.Sort(fit)
	if key == "" {
		if len(fit) != 1 {
			return target{}, &ops.UserError{What: fmt.Sprintf("%d outputs of %s could be meant", len(fit), stack), Next: "Name one of " + strings.Join(fit, ", ") + ": --to stack:" + stack + "#OUTPUT."}
		}
		key = fit[0]
	}
	v, ok := values[key]
	if !ok || addressIn(v) == "" {
		e := &ops.UserError{What: fmt.Sprintf("stack %s has no output %s that is an address", stack, key), Next: "Outputs that are: " + strings.Join(fit, ", ") + "."}
		if like := deploy.Near(key, fit); len(like) > 0 {
			e.Next = "Did you mean " + strings.Join(like, " or ") + "?"
		}
		return target{}, e
	}
	return target{addressIn(v), fmt.Sprintf("output %s of stack %s", key, stack)}, nil
}

// addressIn is the address in an output: an IP address, a host name, or the host of a URL;
// empty: it is none.
func addressIn(v string) string {
	if strings.Contains(v, "://") {
		u, err := url.Parse(v)
		if err != nil {
			return ""
		}
		v = u.Hostname()
	} else if h, _, err := net.SplitHostPort(v); err == nil {
		v = h
	}
	if ip := net.ParseIP(v); ip != nil {
		return ip.String()
	}
	if v = bare(v); hostName(v) {
		return v
	}
	return ""
}

// hostName reports whether a text is a host name of several labels, the last of letters.
func hostName(v string) bool {
	labels := strings.Split(v, ".")
	if len(labels) < 2 || len(v) > 253 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "abcdefghijklmnopqrstuvwxyz") == ""
}
