package ops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Class says how dangerous an operation is.
type Class int

// The four risk classes.
const (
	R0 Class = iota // reads only
	R1              // reversible, no effect on service
	R2              // moves data or touches service
	R3              // destroys, or cannot be undone
)

func (c Class) String() string { return fmt.Sprintf("R%d", int(c)) }

// MarshalText writes "R0" to "R3".
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads "R0" to "R3".
func (c *Class) UnmarshalText(b []byte) error {
	if len(b) == 2 && b[0] == 'R' && b[1] >= '0' && b[1] <= '3' {
		*c = Class(b[1] - '0')
		return nil
	}
	return fmt.Errorf("risk class %q: want R0, R1, R2 or R3", b)
}

// Call is what a person asked for: the operation's kind ("es drain"), its
// arguments in the order of the command's spec, its flags without dashes (a flag
// without a value is "true"), and the environment's name.
type Call struct {
	Kind        string            `json:"kind"`
	Environment string            `json:"environment"`
	Args        []string          `json:"args,omitempty"`
	Flags       map[string]string `json:"flags,omitempty"`
}

// Query is a kind of work of class R0: it reads, and answers at once.
type Query interface {
	Kind() string
	Answer(ctx context.Context, call Call) (Answer, error)
}

// Answer is what a Query found out, for people. All strings are plain text; the
// bot escapes them.
type Answer struct {
	Title string   // one line: "staging: green, 3 nodes, 24 shards"
	Lines []string // sentences below the title
	Table *Table   // nil: none
}

// Table is rows under column heads; every row is as long as Columns.
type Table struct {
	Columns []string
	Rows    [][]string
}

// Operation is a kind of work that changes something.
type Operation interface {
	Kind() string
	// Plan reads the live system and says what would be done. It writes nothing.
	// Its errors are for the person who asked (see Advice).
	Plan(ctx context.Context, call Call) (Plan, error)
	// Step returns the code of a step of a plan made earlier, perhaps by an older
	// binary. ErrUnknownStep pauses the run with a message; it never fails it.
	Step(ref StepRef) (Step, error)
}

// Preparer is an Operation whose plan makes something in the outside world that changes
// nothing there yet, such as a change set of CloudFormation: what people agree to is
// exactly that thing, and what comes of it when they do not must be removed again.
type Preparer interface {
	Operation
	// Replan plans again, before an approved plan is carried out. It returns the approved
	// plan with facts as they are now where what was prepared is still good, else a plan
	// of something prepared anew.
	Replan(ctx context.Context, approved Plan) (Plan, error)
	// Discard removes what a plan prepared, as far as it is there and was not used. It is
	// called when the plan's request or run has ended, perhaps more than once, and is no
	// error then.
	Discard(ctx context.Context, plan Plan) error
}

// Plan is what would be done, resolved against the live system and frozen.
// Digest covers Call, Class, Targets, Params, Steps, Undo and Keeps; the rest is
// shown but may differ without asking again, unless a Fact got worse.
type Plan struct {
	Call     Call              `json:"call"`
	Class    Class             `json:"class"`
	Title    string            `json:"title"`            // "Drain n3 in staging"
	Effect   string            `json:"effect"`           // "moves 24 shards (1.2 TB) off n3"
	Targets  []string          `json:"targets"`          // exact names, sorted
	Params   map[string]string `json:"params,omitempty"` // resolved parameters
	Steps    []StepRef         `json:"steps"`            // in order; undone in reverse
	Undo     []string          `json:"undo"`             // sentences: what cancel or failure puts back
	Keeps    []string          `json:"keeps,omitempty"`  // sentences: what success leaves changed, on purpose
	Facts    []Fact            `json:"facts,omitempty"`  // material facts
	Shown    []Line            `json:"shown,omitempty"`  // read from the system, for the card, in order
	Warnings []string          `json:"warnings,omitempty"`
	Estimate Estimate          `json:"estimate"`
	// Locks are the resources held while running, as "kind:identity", the kind being
	// for people: "Elasticsearch cluster:<uuid>".
	Locks []string `json:"locks"`
	// Confirm, if set, is the resource's name the requester must type with
	// --confirm (class R3).
	Confirm string `json:"confirm,omitempty"`
}

// Line is a labelled value on a card: {"Health", "green"}.
type Line struct {
	Label string `json:"label"`
	Text  string `json:"text"`
}

// Estimate is how long the work may take. Zero High: unknown.
type Estimate struct {
	Low   time.Duration `json:"low"`
	High  time.Duration `json:"high"`
	Basis string        `json:"basis,omitempty"` // "at 40 MB/s"
}

// StepRef names a step of an operation, with all it needs. Version changes when
// the meaning of Params does.
type StepRef struct {
	Name    string            `json:"name"`
	Version int               `json:"version"`
	Title   string            `json:"title"` // for people: "exclude n3 from allocation"
	Params  map[string]string `json:"params,omitempty"`
}

// Fact is something about the live system that makes the plan acceptable. A fact
// is worse when its Level rose since; a key that is absent counts as level 0.
// {"health", "health is yellow", "", 1} got worse from green (0). A thing that must
// stay has Level -1, and Gone says what to tell people when it is missing.
type Fact struct {
	Key   string `json:"key"`
	Text  string `json:"text"`
	Gone  string `json:"gone,omitempty"`
	Level int64  `json:"level"`
}

// Digest is the hex SHA-256 of what people agree to. Equal plans have equal
// digests on every replica and binary of the same version.
func (p Plan) Digest() string {
	sealed := struct {
		Call    Call
		Class   Class
		Targets []string
		Params  map[string]string
		Steps   []StepRef
		Undo    []string
		Keeps   []string
		Confirm string
	}{p.Call, p.Class, p.Targets, p.Params, p.Steps, p.Undo, p.Keeps, p.Confirm}
	b, err := json.Marshal(sealed) // map keys are sorted by encoding/json
	if err != nil {
		panic(err) // strings, ints and maps of strings always encode
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Worse lists, for people, what got worse from the facts approved to the facts
// now, in the order of now, then of those gone.
func Worse(approved, now []Fact) []string {
	was := make(map[string]int64, len(approved))
	for _, f := range approved {
		was[f.Key] = f.Level
	}
	is := make(map[string]bool, len(now))
	var worse []string
	for _, f := range now {
		is[f.Key] = true
		if f.Level > was[f.Key] {
			worse = append(worse, f.Text)
		}
	}
	for _, f := range approved {
		if !is[f.Key] && f.Level < 0 {
			worse = append(worse, f.Gone)
		}
	}
	return worse
}
