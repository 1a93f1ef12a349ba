package workload

import (
	"encoding/json"
	"net/http"
	"time"
)

// Kind is what an operation does to its document.
type Kind string

// The kinds of operations.
const (
	Create Kind = "create" // a new document; a conflict if the id exists
	Index  Kind = "index"  // the whole document is replaced
	Update Kind = "update" // some of its fields are
	Delete Kind = "delete"
)

// Fate is what is known of an operation after one try.
type Fate string

// The fates of a try.
const (
	Acknowledged Fate = "acknowledged" // the server says that it was carried out
	Uncertain    Fate = "uncertain"    // no acknowledgement; the writer tries again
	Refused      Fate = "refused"      // it is given up: 400, or the document is not as it must be
)

// Entry is one try of one operation. The entries of one document are in the order in
// which things happened.
type Entry struct {
	ID     string
	Kind   Kind
	Source json.RawMessage // the whole document after it; nil after Delete
	Fate   Fate
	Status int       // of the answer; 0: none came
	Reason string    // why it was not acknowledged
	At     time.Time // when the answer came, or the try was given up
	// Surprise says what was wrong with an acknowledged operation: the index did not hold
	// what it must have held. Empty: nothing.
	Surprise string
}

// Content is what an index may hold: of each document the sources that are right, of
// which nil means that the document does not exist. There is more than one only where
// nobody can say whether the last operation on the document was carried out.
type Content map[string][]json.RawMessage

// Replay returns what an index that held start holds after the operations of a log.
// start is not changed.
func Replay(start Content, log []Entry) Content {
	c := make(Content, len(start))
	for id, sources := range start {
		c[id] = sources
	}
	for _, e := range log {
		switch {
		case e.Fate == Acknowledged:
			c[e.ID] = []json.RawMessage{e.Source}
		// A node repeats a write whose primary died before it answered. A create that was
		// carried out then conflicts with itself, and its writer is told no.
		case e.Fate == Uncertain, e.Fate == Refused && e.Status == http.StatusConflict:
			before, known := c[e.ID]
			if !known {
				before = []json.RawMessage{nil}
			}
			c[e.ID] = append(before[:len(before):len(before)], e.Source)
		}
	}
	return c
}

// Surprises returns the entries that say so.
func Surprises(log []Entry) []Entry {
	var s []Entry
	for _, e := range log {
		if e.Surprise != "" {
			s = append(s, e)
		}
	}
	return s
}
