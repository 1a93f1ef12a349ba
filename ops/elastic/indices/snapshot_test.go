package indices

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops/elastic/elasticsim"
)

// reads counts the requests by which comparisons read.
type reads struct{ opened, closed, pages, windows, lost int }

// seen counts a request. Before the first so many pages of a point in time this is taken
// away, as if its node were gone.
func (n *reads) seen(t *testing.T, s pretend, r *http.Request, losses int) {
	switch {
	case r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/_pit"):
		n.opened++
	case r.Method == "DELETE" && r.URL.Path == "/_pit":
		n.closed++
	case r.URL.Path == "/_search":
		n.pages++
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
		var body struct {
			PIT struct{ ID string } `json:"pit"`
		}
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Error(err)
		}
		if n.lost < losses {
			n.lost++
			s.ask(t, "DELETE", "/_pit", `{"id":"`+body.PIT.ID+`"}`)
		}
	case strings.HasSuffix(r.URL.Path, "/_search") && r.URL.Query().Get("preference") != "":
		n.windows++
	}
}

// TestSnapshots: shards of many pages are compared in the order of storage, what was
// deleted meanwhile is found, and nothing stays open. Where points in time are lost, the
// comparison begins anew, and in the end goes by windows; it finds the same.
func TestSnapshots(t *testing.T) {
	for _, losses := range []int{0, 1, 9} {
		t.Run(fmt.Sprint(losses, " lost"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.site.readSize = 20
				s.small(t, "v1", 2, 400)
				s.edit(t, "v1", "first")
				var n reads
				deleted := false
				s.faults(func(r *http.Request) elasticsim.Fault {
					if !deleted && is("GET", "/_cluster/state/routing_table/v2")(r) { // all is copied
						deleted = true
						if err := s.DeleteDoc("v1", numbered(50)); err != nil {
							t.Error(err)
						}
					}
					n.seen(t, s, r, losses)
					return elasticsim.Fault{}
				})
				rig, run := s.reindexed(t, "v1", "v2", "writes=catchup")
				succeeded(t, rig, run)
				s.holds(t, "v2", s.content("v1", false))
				saying(t, rig, runID, "Put right while comparing: 1 document deleted from v2.")
				t.Logf("%+v", n)
				switch {
				case losses == 0 && (n.opened < 4 || n.opened != n.closed || n.pages < 40):
					t.Errorf("not in the order of storage, or left open: %+v", n)
				case losses == 1 && (n.lost != 1 || n.opened < 6):
					t.Errorf("did not begin anew: %+v", n)
				case losses == 9 && (n.lost < mostSnapshots || n.lost == 9 || n.windows < 100):
					t.Errorf("did not go by windows: %+v", n)
				}
			})
		})
	}
}
