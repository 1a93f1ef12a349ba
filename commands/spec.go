package commands

// Spec is one command: all there is to know to parse it and to explain it.
type Spec struct {
	Path    []string // {"es", "drain"}
	Args    []Arg
	Flags   []Flag
	Summary string   // one line, no full stop: "move all shards off nodes"
	Detail  []string // further sentences for its own help
	// Examples are whole commands without the slash word: "es drain n3 --env staging".
	Examples []string
	Class    string // "R0" to "R3" for operations and queries; empty for the bot's own
	// Env says that the command is about one environment, so --env applies.
	Env bool
	// Own marks the bot's own commands (help, list, approve …), carried out by bot
	// itself and not by an operation.
	Own bool
}

// Arg is one positional argument.
type Arg struct {
	Name     string // "NODE"
	Summary  string
	Optional bool
	Repeat   bool // the last only: one or more (zero or more if Optional)
	Rest     bool // the last only: all remaining words as one string
}

// Flag is one option, typed --name VALUE or --name=VALUE; a switch takes none.
type Flag struct {
	Name    string // "release"
	Value   string // "NAME"; empty: a switch
	Summary string
	// Required: the command needs it.
	Required bool
}

// Kind is the path as one string: "es drain". It names the operation.
func (s Spec) Kind() string {
	k := ""
	for i, w := range s.Path {
		if i > 0 {
			k += " "
		}
		k += w
	}
	return k
}

// Invocation is what a person typed, parsed.
type Invocation struct {
	Kind        string // Spec.Kind()
	Own         bool
	Class       string
	Environment string // resolved: typed, or the default; empty if the command takes none
	Args        []string
	Flags       map[string]string // switches are "true"
	Text        string            // the command as understood, to be shown again: "es drain n3 --env staging"
}

// Vocabulary is what the grammar must know of the configuration.
type Vocabulary struct {
	Command            string // "/ops"
	Environments       []string
	DefaultEnvironment string // empty: must be typed
	BotUser            string // user id of the bot, so that a leading mention is dropped
}

// UsageError is a mistake in what was typed. Error is one line for people; Next
// shows the right form or what was probably meant.
type UsageError struct {
	What string
	Next string
}

func (e *UsageError) Error() string  { return e.What }
func (e *UsageError) Advice() string { return e.Next }
