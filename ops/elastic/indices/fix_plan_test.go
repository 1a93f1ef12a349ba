package indices

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// refuses wants a plan refused, with parts of the reason.
func refuses(t *testing.T, op ops.Operation, flags string, args []string, parts ...string) {
	t.Helper()
	_, err := op.Plan(t.Context(), asked(op, flags, args...))
	for _, p := range parts {
		if err == nil || !strings.Contains(explained(err), p) {
			t.Errorf("%s %s: %s, want %q", flags, args, explained(err), p)
		}
	}
}

// A destination that readers would find by an alias while it is made is refused.
func TestPlanAliasOfDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 1, 20)
		s.create(t, "there", `{"aliases":{"v1-alias":{}}}`)
		s.create(t, "other", `{"aliases":{"other-alias":{}}}`)
		s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2*"],"template":{"aliases":{"v1-alias":{}}}}`)
		s.ask(t, "PUT", "/_template/y", `{"index_patterns":["v3*"],"aliases":{"readers":{}}}`)
		op := reindex{s.sites()}
		refuses(t, op, "", []string{"v1", "v2"}, "An index template gives every new index like v2 the alias v1-alias")
		refuses(t, op, "", []string{"v1", "v3"}, "Template y gives every new index like v3 the alias readers")
		refuses(t, op, "", []string{"v1", "there"}, "Alias v1-alias points to there already")
		refuses(t, campaign{s.sites()}, "to=v2_*", []string{"v1*"}, "the alias v1-alias")
		for _, dst := range []string{"other", "v4"} {
			if _, err := op.Plan(t.Context(), asked(op, "", "v1", dst)); err != nil {
				t.Errorf("%s: %s", dst, explained(err))
			}
		}
	})
}

// Documents are not put aside in an index that is there already, and none of ours.
func TestPlanAsideThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 1, 20)
		s.create(t, "v2-refused", `{}`)
		op := reindex{s.sites()}
		refuses(t, op, "quarantine=true", []string{"v1", "v2"}, "v2-refused is there already")
		if _, err := op.Plan(t.Context(), asked(op, "", "v1", "v2")); err != nil {
			t.Error(explained(err))
		}
	})
}

// Indices whose searches give fewer documents than ours ask for are read by smaller pages.
func TestPlanResultWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.create(t, "v1", `{"settings":{"index.max_result_window":2000},"aliases":{"v1-alias":{}}}`)
		s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2"],"template":{"settings":{"index.max_result_window":1000}}}`)
		s.ask(t, "PUT", "/_index_template/y", `{"index_patterns":["v3"],"template":{"settings":{"index.max_result_window":999}}}`)
		s.fill(t, "v1", 0, 4500)
		s.rest(t)
		op := reindex{s.sites()}
		refuses(t, op, "", []string{"v1", "v3"}, "v3 has index.max_result_window=999", "Set it to 1,000 or more")
		rig, run := s.reindexed(t, "v1", "v2", "max-impact=full")
		succeeded(t, rig, run)
		s.holds(t, "v2", s.content("v1", false))
		if err := s.DeleteDoc("v2", numbered(7)); err != nil {
			t.Fatal(err)
		}
		want := s.content("v2", false)
		rig, run = s.wentBack(t, "v2")
		succeeded(t, rig, run)
		s.holds(t, "v1", want)
		if err := s.PutIndexSettings("v1", `{"index.max_result_window":10}`); err != nil {
			t.Fatal(err)
		}
		refuses(t, op, "", []string{"v1", "v4"}, "v1 has index.max_result_window=10")
	})
}

// What a copy of a source that grows has to do does not depend on when it was planned.
func TestPlanStepsOfGrownSource(t *testing.T) {
	for _, docs := range []int64{20, compareAfter + 1, compareMost + 1} {
		w := copySurvey{spec: spec{Source: "v1", Dest: "v2", Writes: writesCatchup, Swap: true}, docs: docs}
		var names []string
		for _, s := range w.plan(ops.Call{}).Steps {
			names = append(names, s.Name)
		}
		if want := "create copy catch-up replicate compare block verify swap finish"; strings.Join(names, " ") != want {
			t.Errorf("%d documents: %s", docs, names)
		}
	}
}

// A shard that does not say how far it is, is not at its beginning.
func TestPositionsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 1, 20)
		x, err := s.site.metadata(t.Context(), "v1")
		if err != nil {
			t.Fatal(err)
		}
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if strings.Contains(r.URL.Path, "/_stats") {
				return elasticsim.Fault{Status: 200, Body: `{"indices":{"v1":{"uuid":"` + x.UUID + `","shards":{"0":[{"routing":{"primary":true,"node":"a"},"docs":{"count":20},"store":{"size_in_bytes":1}}]}}}}`}
			}
			return elasticsim.Fault{}
		})
		if now, err := s.site.positions(t.Context(), x); err == nil {
			t.Errorf("%+v", now)
		}
	})
}

// A status names what is left in words that take any number.
func TestStatusCopiesToCome(t *testing.T) {
	j := &job{spec: spec{Dest: "v2"}, state: &state{Away: 3}}
	if got := j.status(phaseReplicate).Headline; got != "Giving v2 its replicas, copies of shards to come: 3" {
		t.Error(got)
	}
}
