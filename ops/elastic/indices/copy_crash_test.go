package indices

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// crashed carries a run to its end with a crash at one write after the other, from first in
// steps of every, before and after the write was stored, and goes on or cancels. world makes
// a new world; check is given what came of it. It returns how many writes there are.
func crashed(t *testing.T, first, every int, world func(*testing.T) (ops.Operation, *opstest.Bench), check func(t *testing.T, b *opstest.Bench, cancelled bool)) int {
	t.Helper()
	for at := first; ; at += every {
		over := false
		for way := range 4 {
			lost, cancel := way%2 == 0, way/2 == 0
			synctest.Test(t, func(t *testing.T) {
				op, b := world(t)
				b.Crash(at, lost)
				run(t, op, b, 0, func(int, ops.Progress) bool { return b.Crashed() })
				over = !b.Crashed()
				b.Restart()
				if cancel {
					back(t, op, b, 0)
				} else if p := run(t, op, b, 0, nil); p.Phase != ops.Done {
					t.Errorf("%+v", p)
				}
				check(t, b, cancel)
			})
			if t.Failed() {
				t.Fatalf("crash at write %d, lost %v, cancelled %v", at, lost, cancel)
			}
		}
		if over {
			return at
		}
	}
}

// uneventful takes out of what was said what another time or another way may be different:
// what was put right before a crash is not put right again.
func uneventful(said []string) []string {
	spans := regexp.MustCompile(`within .*|in \d+ parts`)
	var out []string
	for _, s := range said {
		if !strings.HasPrefix(s, "Put right while comparing") {
			out = append(out, spans.ReplaceAllString(s, "…"))
		}
	}
	return out
}

// journey makes the worlds of a crash sweep, and checks what comes of them.
type journey struct {
	flags    string
	existing bool
	page     int64 // identities that a comparison reads at once; 0: all
	s        pretend
	want     []string // what is said where nothing crashes
}

// world is a source that is written to when its first page is copied, and from which
// something is deleted when everything is.
func (c *journey) world(t *testing.T) (ops.Operation, *opstest.Bench) {
	s := copying(t)
	c.s = s
	c.s.site.partSize, c.s.site.readSize = 12, c.page
	s.small(t, "v1", 2, 60)
	if c.existing { // is copied by the server
		s.create(t, "v2", `{"settings":{"number_of_shards":2,"refresh_interval":"7s","number_of_replicas":1}}`)
		s.rest(t)
	}
	op := reindex{c.s.sites()}
	b := bench(t, op, c.flags, "v1", "v2")
	written, deleted := false, false
	s.faults(func(r *http.Request) elasticsim.Fault {
		switch {
		case !written && (is("POST", "/v2/_bulk")(r) || is("GET", "/_tasks")(r)):
			if written = true; s.PutDoc("v1", "x", "{}") == nil {
				s.edit(t, "v1", "copy")
			}
		case !deleted && is("GET", "/_cluster/state/routing_table/v2")(r):
			if deleted = true; s.DeleteDoc("v1", "x") == nil {
				s.DeleteDoc("v1", numbered(50))
			}
		case c.page > 0 && r.URL.Path == "/_search": // so that it takes several calls
			return elasticsim.Fault{Delay: 2500 * time.Millisecond}
		}
		return elasticsim.Fault{}
	})
	return op, b
}

func (c *journey) check(t *testing.T, b *opstest.Bench, cancelled bool) {
	s := c.s
	s.Intercept(nil)
	moved := s.at1(t, "v1-alias") == "v2"
	states := map[ops.ChangeState]int{}
	for _, e := range b.Journal() {
		states[e.State]++
		if e.State == ops.Left && !strings.Contains(e.Reason, "es swap-back v2 brings them back") {
			t.Errorf("%+v", e)
		}
	}
	switch {
	case !cancelled:
		if !moved || !s.isBlocked(t, "v1") || states[ops.Intended]+states[ops.Written]+states[ops.Left] > 0 || states[ops.Restored] > 0 != c.existing {
			t.Errorf("moved %v, journal %+v", moved, b.Journal())
		}
		s.onlyIndices(t, "v1", "v2")
		s.holds(t, "v2", s.content("v1", false))
		said := uneventful(b.Said())
		for _, m := range c.want {
			if !slices.Contains(said, m) {
				t.Errorf("nobody said %q, but %q", m, said)
			}
		}
	case moved:
		// What readers and writers rely on is not taken away, and the way back is open.
		if !s.isBlocked(t, "v1") || states[ops.Intended]+states[ops.Written]+states[ops.Restored] > 0 && !c.existing {
			t.Errorf("journal %+v", b.Journal())
		}
		s.onlyIndices(t, "v1", "v2")
		s.holds(t, "v2", s.content("v1", false))
		op := swapBack{s.sites()}
		back := bench(t, op, "", "v2")
		if p := run(t, op, back, 0, nil); p.Phase != ops.Done || s.at1(t, "v1-alias") != "v1" {
			t.Errorf("%+v", p)
		}
	default:
		if s.isBlocked(t, "v1") || states[ops.Restored] != len(b.Journal()) || s.at1(t, "v1-alias") != "v1" {
			t.Errorf("journal %+v", b.Journal())
		}
		if !c.existing {
			s.onlyIndices(t, "v1")
			return
		}
		s.onlyIndices(t, "v1", "v2")
		x, err := s.site.metadata(t.Context(), "v2")
		if err != nil || x.Settings["index.refresh_interval"] != "7s" || x.Settings["index.number_of_replicas"] != "1" || x.Settings["index.translog.durability"] != "" {
			t.Errorf("%v, %v", x.Settings, err)
		}
	}
}

// A process that dies at any write comes to the same end, or undoes everything.
func TestCopyCrashes(t *testing.T) {
	for _, c := range []*journey{
		{flags: "writes=catchup"}, {flags: "writes=block"}, {flags: "writes=catchup throttle=30", existing: true}, {flags: "writes=block", existing: true},
		{flags: "writes=catchup", page: 7}, {flags: "writes=block", page: 7}, // compared in the order of storage
	} {
		t.Run(fmt.Sprint(c.flags, " ", c.existing, " ", c.page), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op, b := c.world(t)
				if p := run(t, op, b, 0, nil); p.Phase != ops.Done {
					t.Fatalf("%+v", p)
				}
				c.check(t, b, false)
				c.want = uneventful(b.Said())
			})
			if t.Failed() {
				return
			}
			every := 2
			if c.page > 0 {
				every = 3
			}
			if strings.Contains(c.flags, "throttle") {
				every = 7 // takes many calls
			}
			n := crashed(t, 1, every, c.world, c.check)
			t.Logf("%d writes; said %q", n, c.want)
		})
	}
}
