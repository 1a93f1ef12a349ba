package indices

import (
	"context"
	"time"

	"twokey/ops/elastic"
)

// impact is the pace of a copy: how many parts are at work, and how many documents a
// second they may write. It gives way when the cluster's own users notice, and takes more
// when they do not.
type impact struct {
	Level   string    `json:"level"`
	Width   int       `json:"width"`          // parts at a time
	Most    int       `json:"most"`           // of Width
	Rate    float64   `json:"rate,omitempty"` // documents a second; 0: no limit
	Looked  time.Time `json:"looked,omitzero"`
	Seen    load      `json:"seen,omitzero"`
	Usual   float64   `json:"usual,omitempty"` // ms of a user's search before the copy began
	Now     float64   `json:"now,omitempty"`   // and lately
	Slowed  int       `json:"slowed,omitempty"`
	Why     string    `json:"why,omitempty"` // it was slowed last
	Docs    int64     `json:"docs,omitempty"`
	Speed   float64   `json:"speed,omitempty"` // documents a second, lately
	Squeeze float64   `json:"squeeze,omitempty"`
	Cap     float64   `json:"cap,omitempty"` // what people set
}

// load is what the cluster's counters say.
type load struct {
	Searches int64 `json:"searches"` // of users, not ours
	Millis   int64 `json:"millis"`   // that they took
	Rejected int64 `json:"rejected"` // writes turned away
}

// Limits of the pace.
const (
	paceEvery  = 5 * time.Second
	slowerBy   = 2.0 // times the usual latency, and at least
	slowerMore = 20  // ms more, before the copy gives way
	fewestSeen = 20  // searches, to say anything about latency
)

func (i *impact) width() int { return max(i.Width, 1) }

// each is one part's share of the documents a second; 0: no limit.
func (i *impact) each(running int) float64 {
	if i.Rate <= 0 {
		return 0
	}
	return i.Rate / float64(max(running, 1))
}

// begin sets the pace for a copy from so many shards on so many nodes.
func (i *impact) begin(level string, shards, nodes int) {
	*i = impact{Level: level}
	switch level {
	case impactLow:
		i.Most = 1
	case impactFull:
		i.Most = max(2*max(shards, nodes), 4)
	default:
		i.Most = max(shards, nodes, 2)
	}
	i.Width = i.Most
}

// lowRate is the documents a second of --max-impact low where nobody set a throttle.
const lowRate = 2_000

// limit is the Rate out of what people set, the level, and how much was given way.
func (i *impact) limit() {
	r := i.Cap
	if r <= 0 && i.Level == impactLow {
		r = lowRate
	}
	if i.Squeeze > 0 && (r <= 0 || i.Squeeze < r) {
		r = i.Squeeze
	}
	i.Rate = r
}

// backOff halves the pace.
func (i *impact) backOff(why string) {
	i.Slowed++
	i.Why = why
	i.Width = max(i.Width/2, 1)
	if i.Speed > 0 {
		i.Squeeze = max(i.Speed/2, 50)
	}
	i.limit()
}

// speedUp takes a little more.
func (i *impact) speedUp() {
	i.Width = min(i.Width+1, i.Most)
	if i.Squeeze > 0 {
		if i.Squeeze *= 1.5; i.Squeeze > 2*max(i.Speed, 1) && i.Width == i.Most {
			i.Squeeze = 0
		}
	}
	i.limit()
}

// pace looks at the cluster now and then and sets the pace of the sweep. In a campaign
// the step does that, for all its copies.
func (j *job) pace(ctx context.Context, s *sweep) error {
	i := &j.Pace
	if j.shared {
		return nil
	}
	if i.Most == 0 {
		now, err := j.reached(ctx)
		if err != nil {
			return err
		}
		i.begin(j.MaxImpact, len(now.Latest), len(now.Nodes))
	}
	i.Cap = float64(j.throttle)
	i.limit()
	return j.paceMany(ctx, i, j.Moved+s.seen())
}

// share is the part of a campaign's pace that one of its copies has.
func (j *job) share(of impact) {
	j.Pace = impact{Level: of.Level, Most: 2, Width: 2, Why: of.Why, Speed: of.Speed}
	if of.Rate > 0 {
		j.Pace.Rate = max(of.Rate/float64(of.width()), 1)
		j.Pace.Cap = j.Pace.Rate
	}
}

// paceMany looks at the cluster if it is time, and takes more or gives way. done counts
// the documents written so far.
func (s Site) paceMany(ctx context.Context, i *impact, done int64) error {
	if time.Since(i.Looked) < paceEvery {
		return nil
	}
	seen, err := s.load(ctx)
	if err != nil {
		return err
	}
	was, first := i.Seen, i.Looked.IsZero()
	took := time.Since(i.Looked).Seconds()
	i.Seen, i.Looked = seen, time.Now()
	if first {
		if seen.Searches > 0 {
			i.Usual = float64(seen.Millis) / float64(seen.Searches)
		}
		i.Docs = done
		return nil
	}
	i.Speed, i.Docs = max(float64(done-i.Docs)/took, 0), done
	searches := seen.Searches - was.Searches
	i.Now = 0
	if searches >= fewestSeen {
		i.Now = float64(seen.Millis-was.Millis) / float64(searches)
	}
	slow := i.Level != impactFull && i.Now > slowerBy*i.Usual && i.Now > i.Usual+slowerMore
	switch {
	case seen.Rejected > was.Rejected:
		i.backOff("the cluster turned writes away")
	case slow:
		i.backOff("searches of the cluster's users got slower")
	default:
		i.speedUp()
	}
	return nil
}

// load reads the cluster's counters, without what our own searches add.
func (s Site) load(ctx context.Context) (load, error) {
	type counted struct {
		Total  int64 `json:"query_total"`
		Millis int64 `json:"query_time_in_millis"`
	}
	var search struct {
		All struct {
			Total struct {
				Search struct {
					counted
					Groups map[string]counted `json:"groups"`
				} `json:"search"`
			} `json:"total"`
		} `json:"_all"`
	}
	err := s.Get(ctx, "/_stats/search", elastic.Query("groups", searchGroup, "level", "cluster", "filter_path", "_all.total.search"), &search)
	if err != nil {
		return load{}, err
	}
	var pools struct {
		Nodes map[string]struct {
			Pool struct {
				Write struct {
					Rejected int64 `json:"rejected"`
				} `json:"write"`
			} `json:"thread_pool"`
		} `json:"nodes"`
	}
	err = s.Get(ctx, "/_nodes/stats/thread_pool", elastic.Query("timeout", "5s", "filter_path", "nodes.*.thread_pool.write.rejected"), &pools)
	if err != nil {
		return load{}, err
	}
	all, own := search.All.Total.Search, search.All.Total.Search.Groups[searchGroup]
	l := load{Searches: all.Total - own.Total, Millis: all.Millis - own.Millis}
	for _, n := range pools.Nodes {
		l.Rejected += n.Pool.Write.Rejected
	}
	return l, nil
}
