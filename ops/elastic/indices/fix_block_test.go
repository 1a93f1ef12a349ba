package indices

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// A block that is there but that the shards have not confirmed is asked for again.
func TestFixBlockUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 60)
		sent := 0
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if is("PUT", "/v1/_block/write")(r) {
				if sent++; sent == 1 { // set, and answered before the shards were asked
					s.PutIndexSettings("v1", `{"index.blocks.write":true}`)
					return elasticsim.Fault{Status: 200, Body: `{"acknowledged":true,"shards_acknowledged":false,"indices":[{"name":"v1"}]}`}
				}
			}
			return elasticsim.Fault{}
		})
		rig, run := s.reindexed(t, "v1", "v2", "")
		succeeded(t, rig, run)
		x, err := s.site.metadata(t.Context(), "v1")
		if err != nil || x.Settings[drainedKey] != "true" || sent != 2 {
			t.Errorf("sent %d times, %v, %v", sent, x.Settings, err)
		}
	})
}

// What lifts the block again and again is for people to find.
func TestFixBlockLiftedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 60)
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if is("POST", "/v2/_refresh")(r) || is("GET", "/v2/_alias")(r) {
				s.PutIndexSettings("v1", `{"index.blocks.write":null}`)
				s.PutDoc("v1", "more", `{"n":1}`)
			}
			return elasticsim.Fault{}
		})
		_, run := s.reindexed(t, "v1", "v2", "")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "The write block of v1 was lifted 4 times by somebody else.") {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
	})
}

// A source that was blocked when its destination has to be made again has a setting that
// only the server may give.
func TestFixCopyOfVerifiedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 60)
		s.ask(t, "PUT", "/v1/_block/write", "")
		rig, run := s.reindexed(t, "v1", "v2", "no-swap=true")
		succeeded(t, rig, run)
		s.holds(t, "v2", s.content("v1", false))
	})
}
