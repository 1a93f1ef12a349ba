package indices

import (
	"context"
	"fmt"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// How writes to the source are treated while it is copied.
const (
	writesBlock   = "block"   // refused from the start until the end
	writesCatchup = "catchup" // accepted; the rest is copied under a short block
	writesDual    = "dual"    // writers write to both, told by the register
)

// How much the copy may take of the cluster.
const (
	impactLow    = "low"
	impactNormal = "normal"
	impactFull   = "full"
)

// spec is one copy as people agreed to it.
type spec struct {
	Source     string `json:"source"`
	SourceUUID string `json:"source_uuid"`
	Dest       string `json:"dest"`
	// Existing is the uuid of an empty index that is there already; empty: Dest is made.
	Existing string `json:"existing,omitempty"`
	// Template: a made Dest gets its settings and mappings from the templates that match
	// its name, and not from the source.
	Template bool   `json:"template,omitempty"`
	Shards   int    `json:"shards,omitempty"` // of a made Dest; 0: as source or template; autoShards
	Writes   string `json:"writes"`
	Swap     bool   `json:"swap,omitempty"` // aliases move, or with dual the register's active index
	// Back: Source is a copy of Dest that readers and writers moved to, and they move back.
	Back bool `json:"back,omitempty"`
	// At is how far Source's shards were when they moved.
	At         map[int]int64 `json:"at,omitempty"`
	Quarantine bool          `json:"quarantine,omitempty"`
	MaxImpact  string        `json:"impact"`
	Throttle   int64         `json:"throttle,omitempty"` // documents per second; 0: none
	ReadFrom   string        `json:"read_from,omitempty"`
	// Pipeline is an ingest pipeline that documents go through; PipelineSum is of what it was
	// when people agreed.
	Pipeline    string   `json:"pipeline,omitempty"`
	PipelineSum string   `json:"pipeline_sum,omitempty"`
	Entry       string   `json:"register,omitempty"` // of the register, with dual
	Aliases     []string `json:"aliases,omitempty"`  // that move, sorted
	// Zones of a campaign: Dest is made on the nodes whose Attr is Indexing, and ends on
	// those where it is one of Production.
	Attr       string   `json:"attr,omitempty"`
	Indexing   string   `json:"indexing,omitempty"`
	Production []string `json:"production,omitempty"`
}

// autoShards stands for the shards that shardsFor gives.
const autoShards = -1

// documentsPerShard is how many documents a shard is meant for.
const documentsPerShard = 5_000_000

// shardsFor is the number of primaries for so many documents: one up to 5 million, above
// that one for each full 5 million and one more.
func shardsFor(docs int64) int {
	if docs <= documentsPerShard {
		return 1
	}
	return int(docs/documentsPerShard) + 1
}

// phase is a part of a copy, in the order of phases. Each looks, acts and looks again, and
// comes to the same end if it is called again after a crash at any point.
type phase string

// The phases.
const (
	phaseCreate    phase = "create"    // make the destination
	phaseRegister  phase = "register"  // dual: the destination becomes a second write target
	phaseBlock     phase = "block"     // the source takes no writes
	phaseCopy      phase = "copy"      // everything once
	phaseCatchUp   phase = "catch-up"  // what was written meanwhile, until little is left
	phaseReplicate phase = "replicate" // replicas and refresh as they are to be; green
	phaseCompare   phase = "compare"   // large sources: the full comparison before the block
	phaseVerify    phase = "verify"    // the last pass, deletes, and the comparison that counts
	phaseSwap      phase = "swap"      // readers and writers move
	phaseFinish    phase = "finish"    // what is kept, and for how long
	phaseOpen      phase = "open"      // swap-back: the index gone back to takes writes again
)

// phases are those of a copy, in order. With block and catchup there are copies of the
// destination before anybody relies on it. With dual the source gets every write too until
// it is deleted, so the destination may be switched to first and replicated after, which
// gives the indexing nodes back sooner.
func (c spec) phases() []phase {
	switch {
	case c.Back && c.Writes == writesDual:
		return []phase{phaseVerify, phaseSwap, phaseFinish}
	case c.Back:
		return []phase{phaseBlock, phaseOpen, phaseVerify, phaseSwap, phaseFinish}
	}
	switch c.Writes {
	case writesBlock:
		return []phase{phaseCreate, phaseBlock, phaseCopy, phaseReplicate, phaseVerify, phaseSwap, phaseFinish}
	case writesDual:
		return []phase{phaseCreate, phaseRegister, phaseCopy, phaseVerify, phaseSwap, phaseReplicate, phaseFinish}
	}
	return []phase{phaseCreate, phaseCopy, phaseCatchUp, phaseReplicate, phaseCompare, phaseBlock, phaseVerify, phaseSwap, phaseFinish}
}

// state is what a copy must remember. It is stored with the run, and only what can be
// found out again may be missing from it.
type state struct {
	DestUUID string `json:"dest_uuid,omitempty"` // once it is there
	// SourceShards and DestShards are their primaries.
	SourceShards int       `json:"source_shards,omitempty"`
	DestShards   int       `json:"dest_shards,omitempty"`
	Made         bool      `json:"made,omitempty"` // by this run
	Small        bool      `json:"small,omitempty"`
	Final        settings  `json:"final,omitempty"`
	Window       int64     `json:"window,omitempty"` // documents that one search of either gives, if fewer than 10,000
	Docs         int64     `json:"docs"`             // of the source when the copy began
	DocBytes     int64     `json:"doc_bytes"`        // on average
	Terms        string    `json:"terms,omitempty"`
	Again        int       `json:"again,omitempty"`     // times the destination was lost and made again
	Lost         int       `json:"lost,omitempty"`      // the same, since a person was asked
	Remake       bool      `json:"remake,omitempty"`    // it is to be made again
	Rejoin       bool      `json:"rejoin,omitempty"`    // dual: made again, it is to be a write target again
	Lifted       int       `json:"lifted,omitempty"`    // times others lifted the block, since a person was asked
	LostSince    time.Time `json:"lost_since,omitzero"` // a primary of the destination is away

	Sweep   *sweep        `json:"sweep,omitempty"`
	Reached map[int]int64 `json:"reached,omitempty"` // how far the last pass read, if all of that was durable
	Last    map[int]int64 `json:"last,omitempty"`    // how far the source was at the pass after which nothing came
	Copied  bool          `json:"copied,omitempty"`
	Parts   int           `json:"parts,omitempty"` // of the first pass
	Passes  int           `json:"passes,omitempty"`
	Trying  int           `json:"trying,omitempty"` // how many were refused before they were tried again; 0: they are not
	Since   map[int]int64 `json:"since,omitempty"`  // operations after these are not yet copied
	Moved   int64         `json:"moved,omitempty"`  // documents that all sweeps dealt with
	Behind  int64         `json:"behind,omitempty"`
	Pace    impact        `json:"pace,omitzero"`

	// Aside are documents, on the way back, that were put aside when the copy was made and
	// that the copy does not have since: id to routing. The index gone back to keeps them.
	Aside    map[string]string  `json:"aside,omitempty"`
	Refused  []refusal          `json:"refused,omitempty"`
	Asked    bool               `json:"asked,omitempty"` // a person was asked what to do with them
	Told     int                `json:"told,omitempty"`  // refused documents people were told of
	Rebased  map[string]rebased `json:"rebased,omitempty"`
	Clashed  map[string]string  `json:"clashed,omitempty"` // ids and routings; see clash
	Compare  *comparison        `json:"compare,omitempty"`
	Compared bool               `json:"compared,omitempty"` // the full comparison before the block was made
	Unlike   *unlike            `json:"unlike,omitempty"`
	Verified int64              `json:"verified,omitempty"` // documents found equal
	How      string             `json:"how,omitempty"`      // how it was verified, for people
	Guard    elastic.Pause      `json:"guard,omitzero"`
	GuardAt  time.Time          `json:"guard_at,omitzero"`
	Swapped  time.Time          `json:"swapped,omitzero"`
	AtSwap   map[int]int64      `json:"at_swap,omitempty"`
	Waited   time.Time          `json:"waited,omitzero"`
	Away     int                `json:"away,omitempty"`  // copies not yet where they are to be
	Given    bool               `json:"given,omitempty"` // the destination has its final settings
	Flushed  bool               `json:"flushed,omitempty"`

	// When phases began, and how long they took, waits included.
	Begun map[phase]time.Time     `json:"begun,omitempty"`
	Spent map[phase]time.Duration `json:"spent,omitempty"`
}

// refusal is a document that the destination's mapping does not take.
type refusal struct {
	ID      string `json:"id"`
	Routing string `json:"routing,omitempty"`
	Field   string `json:"field,omitempty"`
	Reason  string `json:"reason"`
	Again   bool   `json:"again,omitempty"` // to be tried again
	Put     bool   `json:"put,omitempty"`   // is in the quarantine
}

// maxRefused bounds the refused documents remembered; with more the mapping is wrong, not
// the documents.
const maxRefused = 10_000

// ledger is where a copy writes what it changes and what it knows: the run's own record,
// or the part of a campaign that is about this index.
type ledger interface {
	record(ctx context.Context, changes ...ops.Change) error
	settle(ctx context.Context, settlements ...ops.Settlement) error
	entry(key string) (ops.Change, bool)
	journal() []ops.Change
	save(ctx context.Context) error // the state, now
	say(format string, args ...any)
	attach(name, content, format string, args ...any)
}

// job is a copy at work.
type job struct {
	Site
	spec
	*state
	ledger
	runID    string
	memo     memo
	token    string // unique to the run and this copy; letters, digits, "-" and "."
	throttle int64  // documents per second, as last set; 0: none
	shared   bool   // one of a campaign: the pace is set outside
	still    bool   // the cluster is not well: begin nothing, and slow down what runs
	until    time.Time
}

// memo is what this process saw a moment ago, so that a copy that goes quickly from phase
// to phase does not ask the same again. It is not stored.
type memo struct {
	source    index // its settings and mappings
	sourceAt  time.Time
	now       positions // of the source
	nowAt     time.Time
	dest      positions
	destAt    time.Time
	wholeAt   time.Time // the destination was seen whole
	blockedAt time.Time // the source was seen blocked
}

// justNow is how long what was seen is good for.
const justNow = time.Second

func fresh(at time.Time) bool { return time.Since(at) < justNow }

// forget is for whoever changed what was seen.
func (j *job) forget() { j.memo = memo{} }

// look is metadata of the source, as of now or just before.
func (j *job) look(ctx context.Context) (index, error) {
	if !fresh(j.memo.sourceAt) {
		at := time.Now()
		x, err := j.metadata(ctx, j.Source)
		if err != nil {
			return index{}, err
		}
		j.memo.source, j.memo.sourceAt = x, at
	}
	return j.memo.source, nil
}

// reached is how far the source is, as of now or just before.
func (j *job) reached(ctx context.Context) (positions, error) {
	if !fresh(j.memo.nowAt) {
		at := time.Now()
		now, err := j.positions(ctx, j.source())
		if err != nil {
			return positions{}, err
		}
		j.memo.now, j.memo.nowAt = now, at
	}
	return j.memo.now, nil
}

// progress is how far a phase is.
type progress struct {
	done    bool
	wait    time.Duration
	blocked string // a person has to decide
	failed  string // for good
}

func waiting(d time.Duration) progress { return progress{wait: d} }

var finished = progress{done: true}

// work is how long one call of a phase goes on before it returns.
const work = 6 * time.Second

// soon is the wait after a call that had more to do.
const soon = time.Millisecond

// advance does one call of a phase.
func (j *job) advance(ctx context.Context, p phase) (progress, error) {
	began := time.Now()
	j.until = began.Add(work)
	if d, ok := ctx.Deadline(); ok && d.Add(-3*time.Second).Before(j.until) {
		j.until = d.Add(-3 * time.Second)
	}
	if _, ok := j.Begun[p]; !ok {
		if j.Begun == nil {
			j.Begun = map[phase]time.Time{}
		}
		j.Begun[p] = began
	}
	var (
		out progress
		err error
	)
	switch p {
	case phaseCreate:
		out, err = j.create(ctx)
	case phaseRegister:
		out, err = j.register(ctx)
	case phaseBlock:
		out, err = j.block(ctx)
	case phaseCopy:
		out, err = j.copy(ctx)
	case phaseCatchUp:
		out, err = j.catchUp(ctx)
	case phaseReplicate:
		out, err = j.replicate(ctx)
	case phaseCompare:
		out, err = j.compareBefore(ctx)
	case phaseVerify:
		out, err = j.verify(ctx)
	case phaseSwap:
		out, err = j.swap(ctx)
	case phaseOpen:
		out, err = j.open(ctx)
	case phaseFinish:
		out, err = j.finish(ctx)
	default:
		return progress{}, fmt.Errorf("%w: phase %s", ops.ErrUnknownStep, p)
	}
	if out.done && err == nil {
		if j.Spent == nil {
			j.Spent = map[phase]time.Duration{}
		}
		j.Spent[p] = time.Since(j.Begun[p])
	}
	return out, err
}

// back undoes one phase; phases are undone in reverse.
func (j *job) back(ctx context.Context, p phase) (progress, error) {
	if !j.Swapped.IsZero() {
		return j.leave(ctx)
	}
	switch p {
	case phaseSwap:
		return j.unswap(ctx)
	case phaseBlock:
		return j.unblock(ctx)
	case phaseRegister:
		return j.unregister(ctx)
	case phaseOpen:
		return j.close(ctx)
	case phaseCreate:
		return j.drop(ctx)
	case phaseCopy, phaseCatchUp, phaseVerify:
		return j.stop(ctx)
	}
	return finished, nil
}

// source and dest are the two indices as far as the plan knows them.
func (j *job) source() index {
	return index{Name: j.Source, UUID: j.SourceUUID, Shards: j.SourceShards}
}

func (j *job) dest() index { return index{Name: j.Dest, UUID: j.DestUUID, Shards: j.DestShards} }

// over reports whether this call has gone on long enough.
func (j *job) over(ctx context.Context) bool { return ctx.Err() != nil || time.Now().After(j.until) }
