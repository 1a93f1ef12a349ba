package elasticsim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// indexBody is the body of PUT /<index>. Mappings and aliases are taken and
// forgotten.
type indexBody struct {
	Settings json.RawMessage `json:"settings"`
	Mappings json.RawMessage `json:"mappings"`
	Aliases  json.RawMessage `json:"aliases"`
}

func createIndex(r *request) answer {
	c, name := r.cluster, r.path["index"]
	if ix := c.indices[name]; ix != nil {
		return (&failure{http.StatusBadRequest, "resource_already_exists_exception",
			"index [" + name + "/" + ix.uuid + "] already exists", object{{"index_uuid", ix.uuid}, {"index", name}}}).answer()
	}
	if name != strings.ToLower(name) {
		return (&failure{http.StatusBadRequest, "invalid_index_name_exception",
			"Invalid index name [" + name + "], must be lowercase", object{{"index_uuid", "_na_"}, {"index", name}}}).answer()
	}
	var in indexBody
	if len(r.body) > 0 {
		if f := r.decode(&in); f != nil {
			return f.answer()
		}
	}
	ch, err := parseChange(in.Settings)
	if err != nil {
		return illegal("%s", err)
	}
	given := settings{}
	for k, v := range ch {
		if !strings.HasPrefix(k, "index.") {
			k = "index." + k
		}
		if v != nil {
			given[k] = *v
		}
	}
	count := func(key string, normally int) int {
		n, err := strconv.Atoi(given[key].text)
		if err != nil {
			return normally
		}
		return n
	}
	ix := c.newIndex(name, count("index.number_of_shards", 1), count("index.number_of_replicas", 1), given, r.now)
	c.spread(ix)
	c.bump()
	return answer{value: object{{"acknowledged", true}, {"shards_acknowledged", true}, {"index", name}}}
}

func deleteIndex(r *request) answer {
	name := r.path["index"]
	if strings.Contains(name, "*") || name == "_all" {
		return illegal("Wildcard expressions or all indices are not allowed")
	}
	indices, f := r.cluster.find(name)
	if f != nil {
		return f.answer()
	}
	for _, ix := range indices {
		r.cluster.remove(ix)
	}
	return answer{value: object{{"acknowledged", true}}}
}

func getIndex(r *request) answer {
	indices, f := r.cluster.find(r.path["index"])
	if f != nil {
		return f.answer()
	}
	out := object{}
	for _, ix := range indices {
		out = append(out, member{ix.name, object{
			{"aliases", object{}}, {"mappings", object{}}, {"settings", ix.settings.render(r.flag("flat_settings"))}}})
	}
	return answer{value: out}
}

// getIndexSettings leaves out an index none of whose settings match the names asked
// for, as the server does.
func getIndexSettings(r *request) answer {
	indices, f := r.cluster.find(r.path["index"])
	if f != nil {
		return f.answer()
	}
	out := object{}
	for _, ix := range indices {
		shown := ix.settings
		if keys := r.path["keys"]; keys != "" && keys != "_all" {
			shown = settings{}
			for k, v := range ix.settings {
				for pattern := range strings.SplitSeq(keys, ",") {
					if wildcard(pattern, k) {
						shown[k] = v
					}
				}
			}
			if len(shown) == 0 {
				continue
			}
		}
		out = append(out, member{ix.name, object{{"settings", shown.render(r.flag("flat_settings"))}}})
	}
	return answer{value: out}
}

func putIndexSettings(r *request) answer {
	indices, f := r.cluster.find(r.path["index"])
	if f != nil {
		return f.answer()
	}
	var body json.RawMessage
	if f := r.decode(&body); f != nil {
		return f.answer()
	}
	ch, err := parseChange(body)
	if err != nil {
		return illegal("%s", err)
	}
	if len(ch) == 0 {
		return invalid("1: no settings to update;")
	}
	if inner, ok := unwrap(ch); ok {
		ch = inner
	}
	for _, ix := range indices {
		if err := r.cluster.changeIndex(ix, ch, r.now); err != nil {
			return illegal("%s", err)
		}
	}
	return answer{value: object{{"acknowledged", true}}}
}

// unwrap takes off the outer "settings" object that the server allows.
func unwrap(ch change) (change, bool) {
	out := change{}
	for k, v := range ch {
		inner, ok := strings.CutPrefix(k, "settings.")
		if !ok {
			return nil, false
		}
		out[inner] = v
	}
	return out, true
}
