package elastic

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// allocation is what the cluster's settings say about where shards may go. Values are
// the settings' texts; a key that is set nowhere has its default in Defaults.
type allocation struct {
	Persistent map[string]string
	Transient  map[string]string
	Defaults   map[string]string // also what stands in elasticsearch.yml
}

// get returns a setting's value in effect, without the prefix "cluster.routing.".
func (a allocation) get(key string) string {
	for _, m := range []map[string]string{a.Transient, a.Persistent, a.Defaults} {
		if v, ok := m["cluster.routing."+key]; ok {
			return v
		}
	}
	return ""
}

// family returns the filter settings of a family.
func (a allocation) family(family string) texts {
	t := texts{}
	prefix := allocationPrefix + family + "."
	for s, m := range map[scope]map[string]string{persistent: a.Persistent, transient: a.Transient} {
		for k, v := range m {
			if key, ok := strings.CutPrefix(k, prefix); ok {
				t[slot{s, key}] = v
			}
		}
	}
	return t
}

// inFile returns the filter settings of a family that stand in elasticsearch.yml, as
// key=value. No update can keep those in effect.
func (a allocation) inFile(family string) []string {
	var found []string
	prefix := allocationPrefix + family + "."
	for k, v := range a.Defaults {
		if strings.HasPrefix(k, prefix) && len(tokens(v)) > 0 {
			found = append(found, strings.TrimPrefix(k, allocationPrefix)+"="+v)
		}
	}
	return found
}

// allocation reads all allocation settings, defaults included.
func (c Cluster) allocation(ctx context.Context) (allocation, error) {
	return c.clusterSettings(ctx, query("include_defaults", "true", "filter_path", fields(
		"persistent.cluster.routing", "transient.cluster.routing", "defaults.cluster.routing",
		"persistent.indices.recovery", "transient.indices.recovery", "defaults.indices.recovery")))
}

// filters reads the exclude family alone; that is what a poll needs.
func (c Cluster) filters(ctx context.Context) (texts, error) {
	a, err := c.clusterSettings(ctx, query("filter_path", fields(
		"persistent.cluster.routing.allocation.exclude", "transient.cluster.routing.allocation.exclude")))
	return a.family(exclude), err
}

func (c Cluster) clusterSettings(ctx context.Context, q map[string][]string) (allocation, error) {
	var answer struct {
		Persistent json.RawMessage `json:"persistent"`
		Transient  json.RawMessage `json:"transient"`
		Defaults   json.RawMessage `json:"defaults"`
	}
	a := allocation{map[string]string{}, map[string]string{}, map[string]string{}}
	q["master_timeout"] = []string{"5s"}
	if err := c.get(ctx, "/_cluster/settings", q, &answer); err != nil {
		return a, err
	}
	for raw, into := range map[*json.RawMessage]map[string]string{
		&answer.Persistent: a.Persistent, &answer.Transient: a.Transient, &answer.Defaults: a.Defaults,
	} {
		if len(*raw) == 0 {
			continue
		}
		if err := flatten("", *raw, into); err != nil {
			return a, c.translate(fmt.Errorf("%w: settings: %w", errAnswer, err))
		}
	}
	return a, nil
}

// flatten turns nested settings into dotted keys. A list becomes its JSON text.
func flatten(key string, raw json.RawMessage, into map[string]string) error {
	var nested map[string]json.RawMessage
	if err := json.Unmarshal(raw, &nested); err == nil {
		for k, v := range nested {
			if key != "" {
				k = key + "." + k
			}
			if err := flatten(k, v, into); err != nil {
				return err
			}
		}
		return nil
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		b, err := json.Marshal(list)
		into[key] = string(b)
		return err
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	into[key] = text
	return nil
}

// putFilters sends one update of the exclude family, all scopes in one request.
func (c Cluster) putFilters(ctx context.Context, ch change, token string) error {
	body := map[scope]map[string]any{}
	for s, text := range ch {
		if body[s.Scope] == nil {
			body[s.Scope] = map[string]any{}
		}
		var value any
		if text != nil {
			value = *text
			if list, ok := asList(*text); ok {
				value = list
			}
		}
		body[s.Scope][allocationPrefix+exclude+"."+s.Key] = value
	}
	return c.write(ctx, http.MethodPut, "/_cluster/settings",
		query("master_timeout", "5s", "timeout", "5s"), body, token)
}
