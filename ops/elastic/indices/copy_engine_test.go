package indices

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// rich is an alias with everything an alias may have.
const rich = `{"add":{"index":"v1","alias":"rich","filter":{"term":{"n":3}},"index_routing":"1","search_routing":"1,2","is_write_index":false}}`

// A copy is the source to the letter, versions included; aliases are kept with all they
// have; the source is blocked and held.
func TestCopy(t *testing.T) {
	for _, tt := range []struct{ name, flags string }{
		{"block", "writes=block"}, {"catchup", "writes=catchup"}, {"low", "max-impact=low"}, {"full", "max-impact=full"},
		{"from one zone", "read-from=a"}, {"other shards", "shards=5"}, {"reckoned shards", "shards=auto"},
	} {
		for _, n := range []int{0, 1, 2500, 23_000} { // small ones go through Twokey, the large one by the server's tasks
			if n == 23_000 && tt.name != "block" && tt.name != "catchup" && tt.name != "from one zone" {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", tt.name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := copying(t)
					s.site.partSize = 1200
					s.small(t, "v1", 3, n)
					s.act(t, rich)
					if err := s.PutIndexSettings("v1", `{"index.refresh_interval":"7s","index.routing.allocation.exclude.zone":"nowhere","index.number_of_replicas":2}`); err != nil {
						t.Fatal(err)
					}
					s.rest(t)
					for i := 0; i < n; i += 7 {
						if i%2 == 0 && i > 0 {
							s.DeleteDoc("v1", numbered(i))
						} else {
							for k := range 4 {
								s.PutDoc("v1", numbered(i), fmt.Sprintf(`{"n":0,"again":%d}`, k))
							}
						}
					}
					texts := s.aliasTexts(t, "v1")
					want := s.content("v1", true)
					rig, run := s.reindexed(t, "v1", "v2", tt.flags)
					succeeded(t, rig, run)
					if got := s.content("v2", true); !maps.Equal(got, want) {
						t.Errorf("%d documents, want %d", len(got), len(want))
					}
					if got := s.aliasTexts(t, "v2"); !slices.Equal(got, texts) {
						t.Errorf("aliases %q, want %q", got, texts)
					}
					if got := s.aliasTexts(t, "v1"); len(got) > 0 {
						t.Errorf("aliases left: %q", got)
					}
					if !s.isBlocked(t, "v1") || s.isBlocked(t, "v2") {
						t.Error("blocks")
					}
					s.onlyIndices(t, "v1", "v2")
					x, err := s.site.metadata(t.Context(), "v2")
					if err != nil {
						t.Fatal(err)
					}
					shards := map[string]int{"other shards": 5, "reckoned shards": 1}[tt.name]
					if shards == 0 {
						shards = 3
					}
					if x.Shards != shards || x.Settings["index.refresh_interval"] != "7s" || x.Settings["index.number_of_replicas"] != "2" ||
						x.Settings["index.translog.durability"] != "" || x.Settings["index.routing.allocation.exclude.zone"] != "" {
						t.Errorf("%d shards, %v", x.Shards, x.Settings)
					}
					m, err := s.site.marksOf(t.Context(), []string{"v2"})
					if err != nil || m["v2"].Run != runID || m["v2"].Source != "v1" || !m["v2"].held(time.Now().Add(6*24*time.Hour)) || m["v2"].held(time.Now().Add(8*24*time.Hour)) {
						t.Errorf("mark %+v, %v", m, err)
					}
					if strings.Contains(told(rig, runID), "Put right") {
						t.Error("it was not right at once")
					}
					saying(t, rig, runID, "Verified: ids and versions of all "+documents(int64(len(want))), "Moved to v2: alias rich and v1-alias.")
				})
			})
		}
	}
}

// With --no-swap everything stays where it is, and the source takes writes again.
func TestCopyWithoutSwap(t *testing.T) {
	for _, writes := range []string{"block", "catchup"} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.small(t, "v1", 2, 300)
			rig, run := s.reindexed(t, "v1", "v2", "no-swap=true writes="+writes)
			succeeded(t, rig, run)
			s.holds(t, "v2", s.content("v1", false))
			if s.isBlocked(t, "v1") || s.at1(t, "v1-alias") != "v1" {
				t.Error("the source is not as it was")
			}
			for _, e := range run.Journal {
				if want := map[string]ops.ChangeState{"index v2": ops.Kept, "index v1 index.blocks.write": ops.Restored}[e.Key]; e.State != want {
					t.Errorf("%+v, want %s", e, want)
				}
			}
		})
	}
}

// An empty index that is there is taken, keeps its own settings and mapping, and gets the
// settings back that it had.
func TestCopyIntoExisting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 3000)
		s.create(t, "v2", `{"settings":{"number_of_shards":4,"number_of_replicas":1,"refresh_interval":"3s","default_pipeline":"p"},"mappings":{"properties":{"n":{"type":"keyword"}}}}`)
		s.rest(t)
		uuid := s.uuidOf(t, "v2")
		rig, run := s.reindexed(t, "v1", "v2", "")
		succeeded(t, rig, run)
		s.holds(t, "v2", s.content("v1", false))
		x, err := s.site.metadata(t.Context(), "v2")
		if err != nil || x.UUID != uuid || x.Shards != 4 || x.Settings["index.refresh_interval"] != "3s" || x.Settings["index.default_pipeline"] != "p" || x.Settings["index.number_of_replicas"] != "1" {
			t.Errorf("%+v, %v", x, err)
		}
		for _, e := range run.Journal {
			if strings.HasPrefix(e.Key, "index v2 index.") && e.State != ops.Restored {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Templates that match the new name make it, not the source's settings.
func TestCopyByTemplate(t *testing.T) {
	for _, path := range []string{"/_index_template/x", "/_template/x"} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			body := `"settings":{"number_of_shards":4,"number_of_replicas":0,"refresh_interval":"9s"},"mappings":{"properties":{"n":{"type":"keyword"},"made":{"type":"date"}}}`
			if path == "/_index_template/x" {
				body = `"template":{` + body + `}`
			}
			s.ask(t, "PUT", path, `{"index_patterns":["v2*"],`+body+`}`)
			s.small(t, "v1", 2, 3000)
			rig, run := s.reindexed(t, "v1", "v2", "writes=block")
			succeeded(t, rig, run)
			s.holds(t, "v2", s.content("v1", false))
			x, err := s.site.metadata(t.Context(), "v2")
			if err != nil || x.Shards != 4 || x.Settings["index.number_of_replicas"] != "0" || x.Settings["index.refresh_interval"] != "9s" || !strings.Contains(fmt.Sprint(x.Mappings), "made") {
				t.Errorf("%+v, %v", x, err)
			}
		})
	}
}

// A template need not say everything: what it leaves out is the server's default.
func TestCopyBySparseTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2*"],"template":{"mappings":{"properties":{"n":{"type":"keyword"}}}}}`)
		s.small(t, "v1", 2, smallDocs+1)
		rig, run := s.reindexed(t, "v1", "v2", "writes=block")
		succeeded(t, rig, run)
		x, err := s.site.metadata(t.Context(), "v2")
		if err != nil || x.Shards != 1 || x.Settings["index.number_of_replicas"] != "1" || x.Settings["index.refresh_interval"] != "" {
			t.Errorf("%+v, %v", x, err)
		}
	})
}

// Documents that the bulk indexer, or the lines of its format, would spoil.
func TestCopyOddDocuments(t *testing.T) {
	for _, tt := range []struct{ name, flags string }{{"block", "writes=block"}, {"catchup", ""}, {"zone", "read-from=b"}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.small(t, "v1", 3, 20)
				s.everywhere(t, "v1")
				ids := []string{"a/b", `"q"`, `back\slash`, "tab\t", "line\nend", "\x01", "\x7f", "\u0085", "😀", "\U000e0001", "a b", "a%2Fb", "?x=1", "#", "ü", "..", ".", "a,b", "*", "\v", strings.Repeat("x", 512)}
				for i, id := range ids {
					if err := s.PutDoc("v1", id, fmt.Sprintf("{\n  \"n\": %d,\r\n  \"text\": \"a\\nb \u2028 \\u0001 😀\",\n \"f\": 1.0e3, \"big\": 123456789012345678\n}\n", i)); err != nil {
						t.Fatalf("%q: %v", id, err)
					}
				}
				want := s.content("v1", false)
				rig, run := s.reindexed(t, "v1", "v2", tt.flags)
				succeeded(t, rig, run)
				got := s.content("v2", false)
				if len(got) != len(want) {
					t.Errorf("%d documents, want %d", len(got), len(want))
				}
				for id, source := range want {
					if is := got[id]; string(oneLine([]byte(is))) != string(oneLine([]byte(source))) {
						t.Errorf("%q is %q", id, is)
					}
				}
			})
		})
	}
}

func TestCopyRouted(t *testing.T) {
	for _, flags := range []string{"writes=block", "writes=catchup", "read-from=a", "shards=5"} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.small(t, "v1", 3, 50)
			s.everywhere(t, "v1")
			for i := range 200 {
				s.ask(t, "PUT", fmt.Sprintf("/v1/_doc/r%03d?routing=r%d", i, i%17), sourceOf(i))
			}
			s.ask(t, "PUT", "/v1/_doc/%F0%9F%98%80%01?routing=%7F%F3%A0%80%81", `{"n":1}`)
			want := s.content("v1", true)
			rig, run := s.reindexed(t, "v1", "v2", flags)
			succeeded(t, rig, run)
			if got := s.content("v2", true); !maps.Equal(got, want) {
				t.Errorf("%s: %d documents, want %d", flags, len(got), len(want))
			}
		})
	}
}

// Pages that hold more than an answer may are asked for in halves.
func TestCopySplitsPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 1, 400)
		long := strings.Repeat(" ", 65<<20)
		var sizes []string
		s.faults(func(r *http.Request) elasticsim.Fault {
			if is("POST", "/_search")(r) {
				if sizes = append(sizes, r.URL.Path); len(sizes) <= 3 {
					return elasticsim.Fault{Status: 200, Body: long}
				}
			}
			return elasticsim.Fault{}
		})
		want := s.content("v1", true)
		rig, run := s.reindexed(t, "v1", "v2", "writes=block")
		succeeded(t, rig, run)
		if got := s.content("v2", true); !maps.Equal(got, want) {
			t.Errorf("%d documents, want %d", len(got), len(want))
		}
	})
}

// A few documents, each written often, are few among many operations.
func TestCopySparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 100)
		for i := range 120_000 {
			s.PutDoc("v1", numbered(i%5), `{"n":1}`)
		}
		s.fill(t, "v1", 200, 240)
		want := s.content("v1", true)
		rig, run := s.reindexed(t, "v1", "v2", "writes=block")
		succeeded(t, rig, run)
		if got := s.content("v2", true); !maps.Equal(got, want) {
			t.Errorf("%d documents, want %d", len(got), len(want))
		}
		if n := s.Traffic()["POST /{index}/_search"].Requests; n > 80 {
			t.Errorf("%d searches", n)
		}
	})
}

// Refused before anything is done, with what is the matter.
func TestCopyRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 30)
		s.small(t, "full", 1, 3)
		s.create(t, "nothing", `{"mappings":{"_source":{"enabled":false}}}`)
		s.create(t, "part", `{"mappings":{"_source":{"excludes":["a"]}}}`)
		s.create(t, "blocked", `{"settings":{"index.blocks.write":true},"aliases":{"b":{}}}`)
		s.create(t, "locked", `{"settings":{"index.blocks.read_only_allow_delete":true},"aliases":{"l":{}}}`)
		s.create(t, "lonely", `{"settings":{"number_of_replicas":0,"index.routing.allocation.require.zone":"a"}}`)
		s.rest(t)
		op := reindex{s.sites()}
		for _, tt := range []struct {
			flags string
			args  []string
			want  string
		}{
			{"", []string{"v1"}, "Which index, and to which?"},
			{"", []string{"v1", "v1"}, "SRC and DST are the same index."},
			{"", []string{"v9", "v2"}, "no index v9"},
			{"", []string{"v1-alias", "v2"}, "v1-alias is an alias"},
			{"", []string{"v1", "full"}, "full exists and has 3 documents."},
			{"", []string{"v1", "full-alias"}, "full-alias is an alias"},
			{"", []string{"v1", "V2"}, `"V2" cannot be the name of an index.`},
			{"shards=3", []string{"v1", "lonely"}, "lonely exists, with 1 shard."},
			{"shards=many", []string{"v1", "v2"}, "--shards many is not a number"},
			{"shards=2000", []string{"v1", "v2"}, "more than an index may have"},
			{"writes=maybe", []string{"v1", "v2"}, "--writes maybe is not known."},
			{"max-impact=huge", []string{"v1", "v2"}, "--max-impact huge is not known."},
			{"throttle=0", []string{"v1", "v2"}, "--throttle 0 is not a number above zero."},
			{"read-from=a|b", []string{"v1", "v2"}, "is not the name of a zone"},
			{"read-from=b", []string{"lonely", "v2"}, "zone b has copies of 0 of the 1 shards of lonely."},
			{"writes=dual", []string{"v1", "v2"}, "staging has no register."},
			{"", []string{"nothing", "v2"}, "keeps no _source"},
			{"", []string{"part", "v2"}, "keeps only a part of each _source"},
			{"", []string{"blocked", "v2"}, "blocked takes no writes already"},
			{"no-swap=true", []string{"blocked", "v2"}, ""},
			{"", []string{"locked", "v2"}, "locked has index.blocks.read_only_allow_delete."},
			{"", []string{"lonely", "v2"}, ""},
		} {
			_, err := op.Plan(t.Context(), asked(op, tt.flags, tt.args...))
			if (err == nil) != (tt.want == "") || !strings.Contains(explained(err), tt.want) {
				t.Errorf("%s %v: %s", tt.flags, tt.args, explained(err))
			}
		}
		s.LoseShard("lonely", 0)
		if _, err := op.Plan(t.Context(), asked(op, "", "v1", "v2")); !strings.Contains(explained(err), "staging is red") {
			t.Error(explained(err))
		}
	})
}
