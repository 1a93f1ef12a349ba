package elasticsim

import (
	"encoding/json"
	"slices"
	"strings"
)

func deleteIndex(r *request) answer {
	name := r.path["index"]
	if strings.Contains(name, "*") || name == "_all" {
		return illegal("Wildcard expressions or all indices are not allowed")
	}
	name, none := r.known(name)
	if none {
		return answer{value: object{{"acknowledged", true}}}
	}
	indices, f := r.cluster.concrete(name)
	if f != nil {
		return f.answer()
	}
	for _, ix := range indices {
		r.cluster.remove(ix)
	}
	return answer{value: object{{"acknowledged", true}}}
}

func getIndex(r *request) answer {
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	features := "aliases,mappings,settings"
	if want := r.query.Get("features"); want != "" {
		features = want
	}
	parts := strings.Split(features, ",")
	for _, p := range parts {
		if p != "aliases" && p != "mappings" && p != "settings" {
			return illegal("Invalid features specified [%s]", p)
		}
	}
	out := object{}
	for _, ix := range indices {
		aliases, mappings, own := object{}, object{}, object{}
		if slices.Contains(parts, "aliases") {
			aliases = ix.renderAliases()
		}
		if slices.Contains(parts, "mappings") {
			mappings = ix.mapping.render()
		}
		if slices.Contains(parts, "settings") {
			own = ix.settings.render(r.flag("flat_settings"))
		}
		o := object{{"aliases", aliases}, {"mappings", mappings}, {"settings", own}}
		if r.flag("include_defaults") {
			o = append(o, member{"defaults", ix.defaults(r.flag("flat_settings"))})
		}
		out = append(out, member{ix.name, o})
	}
	return answer{value: out}
}

func (ix *index) renderAliases() object {
	out := object{}
	for _, name := range sortedKeys(ix.aliases) {
		out = append(out, member{name, ix.aliases[name].render()})
	}
	return out
}

// indexDefaults are the settings that include_defaults adds, with 8.19's defaults.
var indexDefaults = map[string]string{
	"index.refresh_interval": "1s", "index.max_result_window": "10000", "index.gc_deletes": "60s", "index.blocks.write": "false",
	"index.translog.durability": "REQUEST", "index.translog.sync_interval": "5s", "index.translog.flush_threshold_size": "10gb",
	"index.auto_expand_replicas": "false", "index.max_slices_per_scroll": "1024", "index.hidden": "false",
}

func (ix *index) defaults(flat bool) object {
	d := settings{}
	for k, v := range indexDefaults {
		if _, set := ix.settings[k]; !set {
			d[k] = setting{text: v}
		}
	}
	return d.render(flat)
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
		o := object{{"settings", shown.render(r.flag("flat_settings"))}}
		if r.flag("include_defaults") {
			o = append(o, member{"defaults", ix.defaults(r.flag("flat_settings"))})
		}
		out = append(out, member{ix.name, o})
	}
	return answer{value: out}
}

func putIndexSettings(r *request) answer {
	indices, f := r.indices(r.path["index"])
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
		if f := r.cluster.changeIndex(ix, ch, r.now); f != nil {
			return f.answer()
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
