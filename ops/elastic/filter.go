package elastic

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// A filter family is one of the three groups of allocation filters.
const (
	exclude = "exclude"
	include = "include"
	require = "require"
)

const allocationPrefix = "cluster.routing.allocation."

// scope is where a cluster setting is stored. Transient wins over persistent.
type scope string

const (
	persistent scope = "persistent"
	transient  scope = "transient"
)

// slot is the place of one filter setting within its family: {persistent, "_name"}.
type slot struct {
	Scope scope
	Key   string
}

// texts are the filter settings of one family. A value is the setting's text; a JSON
// array of strings stands for a setting written as a list.
type texts map[slot]string

// change is one settings update of a family. Nil removes the setting.
type change map[slot]*string

// sortedSlots are the slots of m in a fixed order: by key, then scope.
func sortedSlots[V any](m map[slot]V) []slot {
	return slices.SortedFunc(maps.Keys(m), func(a, b slot) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(string(a.Scope), string(b.Scope))
	})
}

// Tokens are the values in a filter's text, trimmed, in order, empty ones left out.
func Tokens(text string) []string {
	parts, ok := AsList(text)
	if !ok {
		parts = strings.Split(text, ",")
	}
	var found []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			found = append(found, p)
		}
	}
	return found
}

// AsList reads a text that stands for a list.
func AsList(text string) ([]string, bool) {
	var list []string
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil {
		return list, true
	}
	return nil, false
}

// join is the text of tokens.
func join(list []string) string {
	if slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, ",") }) {
		b, _ := json.Marshal(list) // strings always encode
		return string(b)
	}
	return strings.Join(list, ",")
}

// unique drops repeated tokens, keeping the order of the first ones.
func unique(list []string) []string {
	var kept []string
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// sameSet reports whether a and b hold the same tokens, whatever order and number.
func sameSet(a, b []string) bool {
	a, b = unique(a), unique(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// respell writes the set of list as a text that Elasticsearch takes for a change from
// each of not: the last token is repeated as often as that takes. The set must not be
// empty.
func respell(list []string, not ...string) string {
	spelled := unique(list)
	for slices.ContainsFunc(not, func(n string) bool { return slices.Equal(Tokens(n), spelled) }) {
		spelled = append(spelled, spelled[len(spelled)-1])
	}
	return join(spelled)
}

// respelled reports whether text is one that respell makes of the tokens of another, with
// the last one repeated.
func respelled(text, of string) bool {
	once, have := unique(Tokens(of)), Tokens(text)
	if len(once) == 0 || len(have) <= len(once) || !slices.Equal(have[:len(once)], once) {
		return false
	}
	return !slices.ContainsFunc(have[len(once):], func(x string) bool { return x != once[len(once)-1] })
}

// merged are the family's values by key as Elasticsearch sees them: transient over
// persistent.
func (t texts) merged() map[string]string {
	m := make(map[string]string, len(t))
	for s, text := range t {
		if _, hidden := t[slot{transient, s.Key}]; s.Scope == persistent && hidden {
			continue
		}
		m[s.Key] = text
	}
	return m
}

// live are the slots that act: not hidden by a transient value, and not empty.
func (t texts) live() []slot {
	var act []slot
	for _, s := range sortedSlots(t) {
		_, hidden := t[slot{transient, s.Key}]
		if (s.Scope == transient || !hidden) && len(Tokens(t[s])) > 0 {
			act = append(act, s)
		}
	}
	return act
}

// with is t after c.
func (t texts) with(c change) texts {
	after := maps.Clone(t)
	if after == nil {
		after = texts{}
	}
	for s, text := range c {
		if text == nil {
			delete(after, s)
		} else {
			after[s] = *text
		}
	}
	return after
}

// rewrite works out the settings updates that lead from now to goal such that after
// each of them every live key of goal is in effect: each update changes all live keys.
// None are needed when goal is there already and inEffect is true. It is two updates
// at most; the first has goal's tokens in other texts.
func rewrite(now, goal texts, inEffect bool) []change {
	if maps.Equal(now, goal) && inEffect {
		return nil
	}
	was, live := now.merged(), goal.live()
	direct := !slices.ContainsFunc(live, func(s slot) bool {
		return slices.Equal(Tokens(was[s.Key]), Tokens(goal[s]))
	})
	last := diff(now, goal)
	if direct {
		if len(last) == 0 {
			return nil
		}
		return []change{last}
	}
	between := goal.with(nil)
	for _, s := range live {
		between[s] = respell(Tokens(goal[s]), was[s.Key], goal[s])
	}
	return []change{diff(now, between), diff(between, goal)}
}

// diff is the update from one set of texts to another.
func diff(from, to texts) change {
	c := change{}
	for s := range from {
		if _, stays := to[s]; !stays {
			c[s] = nil
		}
	}
	for s, text := range to {
		if before, was := from[s]; !was || before != text {
			c[s] = &text
		}
	}
	return c
}
