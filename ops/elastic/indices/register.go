package indices

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"twokey/ops"
)

// Register is where writers look up the indices they write to, and readers the one they
// read, for one logical index each ("dashboard-17"). Both implementations compare and set:
// RegisterHTTP, and registerredis.Register. Names are those CheckRegisterName takes.
type Register interface {
	// Get returns the entry of a logical index. One that was never put is the zero Entry.
	Get(ctx context.Context, name string) (Entry, error)
	// Put replaces the entry if it still has e.Version, and returns it with its new
	// version. ErrRegisterChanged: it has another one by now; nothing was written. Any
	// other error: it may have been written; Get tells.
	Put(ctx context.Context, name string, e Entry) (Entry, error)
}

// Entry is what a Register says of a logical index.
type Entry struct {
	Active  string   `json:"active"` // read from here; empty: nobody said
	Write   []string `json:"write"`  // every document goes to each of these
	Version string   `json:"-"`      // opaque; empty: there is no entry
}

// ErrRegisterChanged says that somebody else changed the entry first.
var ErrRegisterChanged = errors.New("the register's entry was changed by somebody else")

// maxRegisterName is the longest name of a logical index, in bytes.
const maxRegisterName = 255

// CheckRegisterName refuses, with a *ops.UserError, what cannot name a logical index: no
// text or too long a one, control characters, and the dots that mean a folder in a URL.
func CheckRegisterName(name string) error {
	switch {
	case name == "", name == ".", name == "..", len(name) > maxRegisterName, !utf8.ValidString(name),
		strings.ContainsFunc(name, unicode.IsControl):
		return &ops.UserError{
			What: fmt.Sprintf("%.60q cannot be the name of an entry in the register.", name),
			Next: fmt.Sprintf("Use 1 to %d bytes, without control characters, other than . and ..", maxRegisterName),
		}
	}
	return nil
}
