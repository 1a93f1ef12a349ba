package elastic

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Allocation is what the cluster's settings say about where shards may go. Values are
// the settings' texts; a key that is set nowhere has its default in Defaults.
type Allocation struct {
	Persistent map[string]string
	Transient  map[string]string
	Defaults   map[string]string // also what stands in elasticsearch.yml
}

// get returns a setting's value in effect, without the prefix "cluster.routing.".
func (a Allocation) Get(key string) string {
	for _, m := range []map[string]string{a.Transient, a.Persistent, a.Defaults} {
		if v, ok := m["cluster.routing."+key]; ok {
			return v
		}
	}
	return ""
}

// family returns the filter settings of a family.
func (a Allocation) family(family string) texts {
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
func (a Allocation) inFile(family string) []string {
	var found []string
	prefix := allocationPrefix + family + "."
	for k, v := range a.Defaults {
		if strings.HasPrefix(k, prefix) && len(Tokens(v)) > 0 {
			found = append(found, strings.TrimPrefix(k, allocationPrefix)+"="+v)
		}
	}
	return found
}

// Allocation reads all allocation settings, defaults included.
func (c Cluster) Allocation(ctx context.Context) (Allocation, error) {
	return c.clusterSettings(ctx, Query("include_defaults", "true", "filter_path", fields(
		"persistent.cluster.routing", "transient.cluster.routing", "defaults.cluster.routing",
		"persistent.indices.recovery", "transient.indices.recovery", "defaults.indices.recovery")))
}

// filters reads the exclude family alone; that is what a poll needs.
func (c Cluster) filters(ctx context.Context) (texts, error) {
	a, err := c.clusterSettings(ctx, Query("filter_path", fields(
		"persistent.cluster.routing.allocation.exclude", "transient.cluster.routing.allocation.exclude")))
	return a.family(exclude), err
}

func (c Cluster) clusterSettings(ctx context.Context, q map[string][]string) (Allocation, error) {
	var answer struct {
		Persistent json.RawMessage `json:"persistent"`
		Transient  json.RawMessage `json:"transient"`
		Defaults   json.RawMessage `json:"defaults"`
	}
	a := Allocation{map[string]string{}, map[string]string{}, map[string]string{}}
	q["master_timeout"] = []string{"5s"}
	if err := c.Get(ctx, "/_cluster/settings", q, &answer); err != nil {
		return a, err
	}
	for raw, into := range map[*json.RawMessage]map[string]string{
		&answer.Persistent: a.Persistent, &answer.Transient: a.Transient, &answer.Defaults: a.Defaults,
	} {
		if len(*raw) == 0 {
			continue
		}
		if err := Flatten("", *raw, into); err != nil {
			return a, c.Translate(fmt.Errorf("%w: settings: %w", ErrAnswer, err))
		}
	}
	return a, nil
}

// Flatten turns nested settings into dotted keys. A list becomes its JSON text.
func Flatten(key string, raw json.RawMessage, into map[string]string) error {
	var nested map[string]json.RawMessage
	if err := json.Unmarshal(raw, &nested); err == nil {
		for k, v := range nested {
			if key != "" {
				k = key + "." + k
			}
			if err := Flatten(k, v, into); err != nil {
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
			if list, ok := AsList(*text); ok {
				value = list
			}
		}
		body[s.Scope][allocationPrefix+exclude+"."+s.Key] = value
	}
	return c.Write(ctx, http.MethodPut, "/_cluster/settings",
		Query("master_timeout", "5s", "timeout", "5s"), body, token)
}
