package indices

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops/elastic/elasticsim"
)

func TestPaceBegins(t *testing.T) {
	for _, tt := range []struct {
		level         string
		shards, nodes int
		most          int
		rate          float64
	}{
		{impactLow, 6, 3, 1, lowRate}, {impactNormal, 1, 1, 2, 0}, {impactNormal, 6, 3, 6, 0}, {impactNormal, 1, 5, 5, 0}, {impactFull, 1, 1, 4, 0}, {impactFull, 6, 3, 12, 0},
	} {
		var i impact
		i.begin(tt.level, tt.shards, tt.nodes)
		if i.limit(); i.Most != tt.most || i.Width != tt.most || i.Rate != tt.rate {
			t.Errorf("%+v: %+v", tt, i)
		}
	}
	for _, tt := range []struct {
		level         string
		nodes, atOnce int
		most          int
	}{
		{impactLow, 5, 0, 1}, {impactLow, 5, 3, 1}, {impactNormal, 1, 0, 4}, {impactNormal, 5, 0, 10}, {impactNormal, 5, 3, 3}, {impactNormal, 1, 100, 4}, {impactFull, 1, 0, 16}, {impactFull, 5, 0, 40}, {impactFull, 1, 100, 100},
	} {
		var i impact
		if i.beginMany(tt.level, tt.nodes, tt.atOnce); i.Most != tt.most || i.Width != tt.most {
			t.Errorf("%+v: %+v", tt, i)
		}
	}
}

// A throttle that people set holds beside the one of the level and what was given way.
func TestPaceLimits(t *testing.T) {
	for _, tt := range []struct {
		level             string
		cap, squeeze, out float64
	}{
		{impactNormal, 0, 0, 0}, {impactNormal, 500, 0, 500}, {impactNormal, 500, 100, 100}, {impactNormal, 500, 900, 500}, {impactNormal, 0, 900, 900},
		{impactLow, 0, 0, lowRate}, {impactLow, 5000, 0, 5000}, {impactLow, 0, 100, 100}, {impactLow, 0, 5000, lowRate},
	} {
		i := impact{Level: tt.level, Cap: tt.cap, Squeeze: tt.squeeze}
		if i.limit(); i.Rate != tt.out {
			t.Errorf("%+v: %v", tt, i.Rate)
		}
	}
	if i := (impact{Rate: 100}); i.each(4) != 25 || i.each(0) != 100 || (&impact{}).each(3) != 0 {
		t.Error("each")
	}
}

// measured lets the cluster's counters be what the test says.
type measured struct {
	searches, millis, own, ownMillis, rejected int64
}

func (m *measured) answer(r *http.Request) elasticsim.Fault {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_stats/search"):
		return elasticsim.Fault{Status: 200, Body: fmt.Sprintf(`{"_all":{"total":{"search":{"query_total":%d,"query_time_in_millis":%d,"groups":{"twokey":{"query_total":%d,"query_time_in_millis":%d}}}}}}`,
			m.searches+m.own, m.millis+m.ownMillis, m.own, m.ownMillis)}
	case strings.HasPrefix(r.URL.Path, "/_nodes/stats/thread_pool"):
		return elasticsim.Fault{Status: 200, Body: fmt.Sprintf(`{"nodes":{"a":{"thread_pool":{"write":{"rejected":%d}}},"b":{"thread_pool":{"write":{"rejected":1}}}}}`, m.rejected)}
	}
	return elasticsim.Fault{}
}

// pacing is a pace on a cluster whose counters the test sets.
type pacing struct {
	*impact
	*measured
	look func(docs int64)
}

func pacingOn(t *testing.T, level string) pacing {
	s := copying(t)
	m := &measured{searches: 1000, millis: 10_000, own: 500, ownMillis: 500_000}
	s.faults(m.answer)
	i := &impact{}
	i.begin(level, 8, 3)
	done := int64(0)
	p := pacing{i, m, func(docs int64) {
		t.Helper()
		time.Sleep(paceEvery)
		done += docs
		if err := s.site.paceMany(t.Context(), i, done); err != nil {
			t.Fatal(err)
		}
	}}
	p.look(0)
	return p
}

// search is n searches of the cluster's users that took so long each.
func (m *measured) search(n, millis int64) {
	m.searches += n
	m.millis += n * millis
}

func TestPaceGivesWayToRejections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, level := range []string{impactNormal, impactFull} {
			p := pacingOn(t, level)
			most := p.Most
			p.look(50_000)
			if p.Speed != 10_000 || p.Width != most || p.Rate != 0 {
				t.Fatalf("%+v", p.impact)
			}
			p.rejected += 5
			p.look(50_000)
			if p.Width != most/2 || p.Rate != 5_000 || p.Why != "the cluster turned writes away" {
				t.Errorf("%s: %+v", level, p.impact)
			}
			for range 10 { // it goes on: never below one part, nor below a rate of 50
				p.rejected++
				p.look(100)
			}
			if p.Width != 1 || p.Rate != 50 {
				t.Errorf("%s: %+v", level, p.impact)
			}
			last := p.Rate
			for looks := 0; p.Width < most || p.Rate > 0; looks++ {
				// The copy could do 10,000 a second, and does what it may.
				if p.look(5 * min(int64(last), 10_000)); p.Rate > 0 && p.Rate < last {
					t.Fatalf("slower again: %+v", p.impact)
				}
				if last = max(p.Rate, last); looks > 60 {
					t.Fatalf("does not recover: %+v", p.impact)
				}
			}
			if p.Width != p.Most {
				t.Errorf("wider than allowed: %+v", p.impact)
			}
		}
	})
}

func TestPaceGivesWayToSearches(t *testing.T) {
	for _, tt := range []struct {
		name   string
		level  string
		n      int64
		millis int64
		slower bool
	}{
		{"twice as slow, and noticeably", impactNormal, 100, 40, true},
		{"full does not care", impactFull, 100, 400, false},
		{"low does", impactLow, 100, 40, true},
		{"not by much", impactNormal, 100, 25, false},
		{"too few to say", impactNormal, 19, 400, false},
		{"as usual", impactNormal, 100, 10, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pacingOn(t, tt.level)
				if p.Usual != 10 {
					t.Fatalf("usual %v", p.Usual)
				}
				p.own, p.ownMillis = p.own+10_000, p.ownMillis+10_000_000 // ours are not the users'
				p.search(tt.n, tt.millis)
				p.look(10_000)
				if (p.Slowed == 1) != tt.slower || (p.Width == p.Most/2) != (tt.slower && p.Most > 1) {
					t.Errorf("%+v", p.impact)
				}
				if tt.slower && !strings.HasPrefix(p.Why, "searches") {
					t.Error(p.Why)
				}
			})
		})
	}
}

// Between two looks the counters are left alone.
func TestPaceLooksNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		var i impact
		i.begin(impactNormal, 1, 1)
		for range 100 {
			if err := s.site.paceMany(t.Context(), &i, 0); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if n := s.Traffic()["GET /_stats/{metrics}"].Requests; n != 4 {
			t.Errorf("%d looks in 20 s", n)
		}
	})
}
