package elasticsim

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// applied writes a family's filters as "_name=n2 zone=spot".
func applied(c *Cluster, family string) string {
	f := c.Filter(family)
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, k+"="+strings.Join(f[k], ","))
	}
	return strings.Join(parts, " ")
}

func TestFiltersTakeEffectByDelta(t *testing.T) {
	for _, test := range []struct {
		name  string
		puts  []string
		want  string
		other string // of include
	}{
		{"one key", []string{persistent("exclude.zone", `"spot"`)}, "zone=spot", ""},
		{"a second key replaces the first", []string{persistent("exclude.zone", `"spot"`), persistent("exclude._name", `"n2"`)}, "_name=n2", ""},
		{"clearing it leaves none", []string{persistent("exclude.zone", `"spot"`), persistent("exclude._name", `"n2"`), persistent("exclude._name", "null")}, "", ""},
		{"the same text again changes nothing", []string{persistent("exclude.zone", `"spot"`), persistent("exclude._name", `"n2"`), persistent("exclude.zone", `"spot"`)}, "_name=n2", ""},
		{"a trailing comma is the same", []string{persistent("exclude.zone", `"spot"`), persistent("exclude._name", `"n2"`, "exclude.zone", `"spot,"`)}, "_name=n2", ""},
		{"doubled text keeps both", []string{persistent("exclude.zone", `"spot"`), persistent("exclude._name", `"n2"`, "exclude.zone", `"spot,spot"`)}, "_name=n2 zone=spot,spot", ""},
		{"the second rewrite keeps both too", []string{persistent("exclude.zone", `"spot"`), persistent("exclude._name", `"n2"`, "exclude.zone", `"spot,spot"`), persistent("exclude._name", `"n2,n2"`, "exclude.zone", `"spot"`)}, "_name=n2,n2 zone=spot", ""},
		{"families do not touch each other", []string{persistent("exclude.zone", `"spot"`), persistent("include.zone", `"a,b"`)}, "zone=spot", "zone=a,b"},
		{"transient hides persistent", []string{persistent("exclude.zone", `"spot"`), transient("exclude.zone", `"a"`)}, "zone=a", ""},
		{"a hidden change is none", []string{transient("exclude.zone", `"a"`), persistent("exclude._name", `"n2"`), persistent("exclude.zone", `"spot"`)}, "_name=n2", ""},
		{"clearing transient shows persistent", []string{persistent("exclude.zone", `"spot"`), transient("exclude.zone", `"a"`), transient("exclude.zone", "null")}, "zone=spot", ""},
		{"empty text is no filter", []string{persistent("exclude.zone", `""`)}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := three()
			for _, p := range test.puts {
				put(t, c, p)
			}
			if got := applied(c, "exclude"); got != test.want {
				t.Errorf("exclude is %q, want %q", got, test.want)
			}
			if got := applied(c, "include"); got != test.other {
				t.Errorf("include is %q, want %q", got, test.other)
			}
		})
	}
}

// Seen on 8.19.13: a node that was restarted has all filters of the settings, those
// that ran on have the latest delta; the elected master's count.
func TestMasterChangeMayChangeFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		put(t, c, persistent("exclude.zone", `"spot"`))
		put(t, c, persistent("exclude._ip", `"127.0.0.99"`))
		if got := applied(c, "exclude"); got != "_ip=127.0.0.99" {
			t.Fatal(got)
		}
		c.Kill("n2")
		c.Start("n2")
		if got := applied(c, "exclude"); got != "_ip=127.0.0.99" {
			t.Errorf("after another node's restart: %q", got)
		}
		c.Elect("n3")
		if got := applied(c, "exclude"); got != "_ip=127.0.0.99" {
			t.Errorf("under a master that ran on: %q", got)
		}
		c.Elect("n2")
		if got := applied(c, "exclude"); got != "_ip=127.0.0.99 zone=spot" {
			t.Errorf("under the restarted master: %q", got)
		}
	})
}

func TestFilterMatching(t *testing.T) {
	n := &node{Node: Node{Name: "data-7", IP: "10.1.2.3"}, id: "aOF-sYwCQLmCwlOGP7iBsQ", attributes: map[string]string{"zone": "a", "rack": "r1"}}
	for _, test := range []struct {
		family string
		set    filterSet
		want   bool // matched
	}{
		{"exclude", filterSet{"_name": {"data-*"}}, true},
		{"exclude", filterSet{"_name": {"data-1", "data-7"}}, true},
		{"exclude", filterSet{"_name": {"data-"}}, false},
		{"exclude", filterSet{"name": {"data-7"}}, true},
		{"exclude", filterSet{"_ip": {"10.1.*"}}, true},
		{"exclude", filterSet{"_ip": {"10.1.0.0/16"}}, true},
		{"exclude", filterSet{"_host": {"10.1.2.3"}}, true},
		{"exclude", filterSet{"_id": {"aOF-sYwCQLmCwlOGP7iBsQ"}}, true},
		{"exclude", filterSet{"_id": {"aOF*"}}, false}, // ids match exactly
		{"exclude", filterSet{"zone": {"b"}, "rack": {"r1"}}, true},
		{"exclude", filterSet{"size": {"*"}}, false}, // the node has no such attribute
		{"include", filterSet{"zone": {"b"}, "rack": {"r1"}}, true},
		{"include", filterSet{"zone": {"b", "c"}}, false},
		{"require", filterSet{"zone": {"a"}, "rack": {"r*"}}, true},
		{"require", filterSet{"zone": {"a"}, "rack": {"r2"}}, false},
		{"require", filterSet{"zone": {"a", "b"}}, false},
	} {
		if got := test.set.match(test.family, n); got != test.want {
			t.Errorf("%s %v matches: %t", test.family, test.set, got)
		}
	}
}

// What happened to its users: excluding a node moved everything onto the zone that
// was excluded before.
func TestSecondFilterMovesShardsOntoExcludedZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.AddIndex("logs", 6, 0, 10<<20)
		put(t, c, persistent("exclude.zone", `"spot"`))
		drained(t, c, "n3", time.Hour)
		put(t, c, persistent("exclude._name", `"n1,n2"`))
		drained(t, c, "n1", time.Hour)
		if got := c.Shards("n3"); got != 6 {
			t.Errorf("%d shards on the spot node, want all 6", got)
		}
	})
}

func TestFilterPath(t *testing.T) {
	v := object{
		{"nodes", object{{"x", object{{"name", "n1"}, {"fs", object{{"free", 1}}}}}, {"y", object{{"name", "n2"}}}}},
		{"a.b", 3}, {"rows", list{object{{"p", 1}, {"q", 2}}, object{{"q", 3}}}},
	}
	for path, want := range map[string]string{
		"nodes.*.name":       `{"nodes":{"x":{"name":"n1"},"y":{"name":"n2"}}}`,
		"nodes.x":            `{"nodes":{"x":{"name":"n1","fs":{"free":1}}}}`,
		"**.free":            `{"nodes":{"x":{"fs":{"free":1}}}}`,
		"rows.p":             `{"rows":[{"p":1}]}`,
		"a.b":                `{}`,
		`a\.b`:               `{"a.b":3}`,
		"nothing":            `{}`,
		"nodes,-nodes.*.fs":  `{"nodes":{"x":{"name":"n1"},"y":{"name":"n2"}}}`,
		"-nodes,-rows":       `{"a.b":3}`,
		"nodes.x.name,rows.": `{"nodes":{"x":{"name":"n1"}}}`,
	} {
		if got := string(encode(parseFilterPath(path).apply(v), false)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0b", 1023: "1023b", 1024: "1kb", 1536: "1.5kb", 10276137: "9.8mb", 83039363072: "77.3gb", 200 << 30: "200gb",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
