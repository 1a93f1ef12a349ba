package indices

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"twokey/ops"
	"twokey/ops/elastic"
)

// listed is what the master knows of one index, whether it is open or not.
type listed struct {
	Name       string
	UUID       string
	Closed     bool
	System     bool
	Hidden     bool   // passed over by patterns: index.hidden, or a dot in front
	DataStream string // it is a backing index of; empty: of none
	Writes     bool   // the one the data stream writes to
	Aliases    []string
	Settings   map[string]string // flat; of replicas, shards, blocks and routing only
}

// special says why an operation for people's indices leaves this one alone; empty: it
// need not.
func (x listed) special() string {
	switch {
	case x.System:
		return "a system index"
	case x.DataStream != "":
		return "part of data stream " + x.DataStream
	case x.Hidden:
		return "hidden"
	case x.Closed:
		return "closed"
	}
	return ""
}

// list reads the indices an expression stands for, by name: names, patterns and aliases,
// hidden and closed ones too. What is not there is left out. The answer grows with what
// is listed.
func (s Site) list(ctx context.Context, expression string) (uuid string, found []listed, err error) {
	return s.listPath(ctx, url.PathEscape(expression))
}

// listNames is list for exact names.
func (s Site) listNames(ctx context.Context, names []string) (uuid string, found []listed, err error) {
	for part := range elastic.InURLs(names) {
		is, some, err := s.listPath(ctx, part)
		if err != nil {
			return "", nil, err
		}
		uuid, found = is, append(found, some...)
	}
	found = slices.DeleteFunc(found, func(x listed) bool { return !slices.Contains(names, x.Name) }) // an alias of that name
	return uuid, found, nil
}

const listFields = "cluster_uuid,metadata.indices.*.state,metadata.indices.*.system,metadata.indices.*.aliases," +
	"metadata.indices.*.settings.index.uuid,metadata.indices.*.settings.index.hidden," +
	"metadata.indices.*.settings.index.number_of_replicas,metadata.indices.*.settings.index.number_of_shards," +
	"metadata.indices.*.settings.index.auto_expand_replicas,metadata.indices.*.settings.index.blocks," +
	"metadata.indices.*.settings.index.routing.allocation,metadata.data_stream.data_stream.*.indices"

func (s Site) listPath(ctx context.Context, path string) (string, []listed, error) {
	var answer struct {
		UUID     string `json:"cluster_uuid"`
		Metadata struct {
			Indices map[string]struct {
				State    string          `json:"state"`
				System   bool            `json:"system"`
				Aliases  []string        `json:"aliases"`
				Settings json.RawMessage `json:"settings"`
			} `json:"indices"`
			Streams struct {
				Streams map[string]struct {
					Indices []struct {
						Name string `json:"index_name"`
					} `json:"indices"`
				} `json:"data_stream"`
			} `json:"data_stream"`
		} `json:"metadata"`
	}
	err := s.Get(ctx, "/_cluster/state/metadata/"+path, elastic.Query("master_timeout", "5s",
		"expand_wildcards", "all", "ignore_unavailable", "true", "filter_path", listFields), &answer)
	if err != nil {
		return "", nil, err
	}
	if answer.UUID == "" {
		return "", nil, s.Translate(fmt.Errorf("%w: no cluster uuid", elastic.ErrAnswer))
	}
	var all []listed
	for name, is := range answer.Metadata.Indices {
		x := listed{Name: name, Closed: is.State == "close", System: is.System, Aliases: is.Aliases, Settings: map[string]string{}}
		if err := elastic.Flatten("", is.Settings, x.Settings); err != nil {
			return "", nil, s.Translate(fmt.Errorf("%w: settings of %s: %w", elastic.ErrAnswer, name, err))
		}
		x.UUID = x.Settings["index.uuid"]
		x.Hidden = x.Settings["index.hidden"] == "true" || strings.HasPrefix(name, ".")
		if x.UUID == "" {
			return "", nil, s.Translate(fmt.Errorf("%w: %s without uuid", elastic.ErrAnswer, name))
		}
		for stream, of := range answer.Metadata.Streams.Streams {
			for i, backing := range of.Indices {
				if backing.Name == name {
					x.DataStream, x.Writes = stream, i == len(of.Indices)-1
				}
			}
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b listed) int { return strings.Compare(a.Name, b.Name) })
	return answer.UUID, all, nil
}

// exact returns the index of this very name. The error names what is meant instead: the
// index behind an alias, or the nearest name.
func (s Site) exact(ctx context.Context, name string) (string, listed, error) {
	if bad := strings.IndexAny(name, "*?,<>\\/|\" "); bad >= 0 || name == "" || strings.ContainsRune("_-+", rune(name[0])) {
		return "", listed{}, &ops.UserError{
			What: fmt.Sprintf("%q is not the exact name of an index.", name),
			Next: "Patterns and lists are not taken here: type each name in full.",
		}
	}
	uuid, all, err := s.list(ctx, name)
	if err != nil {
		return "", listed{}, err
	}
	if i := slices.IndexFunc(all, func(x listed) bool { return x.Name == name }); i >= 0 {
		return uuid, all[i], nil
	}
	if len(all) > 0 {
		var behind []string
		for _, x := range all {
			behind = append(behind, x.Name)
		}
		kind := "an alias"
		if all[0].DataStream == name {
			kind = "a data stream"
		}
		return "", listed{}, &ops.UserError{
			What: fmt.Sprintf("%s is %s, not an index.", name, kind),
			Next: fmt.Sprintf("Behind it: %s.", brief(behind, 10)),
		}
	}
	e := &ops.UserError{What: fmt.Sprintf("%s has no index %s.", s.Environment, name), Next: "Check its name."}
	if _, all, err = s.list(ctx, "*"); err != nil {
		return "", listed{}, err
	}
	var names []string
	for _, x := range all {
		names = append(names, x.Name)
	}
	if like := elastic.Nearest(name, names); like != "" {
		e.Next = fmt.Sprintf("Did you mean %s?", like)
	}
	return "", listed{}, e
}

// brief lists up to most names for people and counts the rest.
func brief(names []string, most int) string {
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return elastic.And(names)
}

// indexLock is the resource that every operation holds for each index it works on.
func indexLock(uuid string) string { return "Elasticsearch index:" + uuid }
