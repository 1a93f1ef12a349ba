package commands

// Page is help for one level, for people; bot renders it.
type Page struct {
	Title    string // "es drain: move all shards off nodes (R2)"
	Usage    string // "/ops es drain NODE… [--env NAME] [--release]"; empty for groups
	Text     []string
	Rows     []Row // subcommands, arguments or flags, in order
	Examples []string
}

// Row is a term and what it means. Without a term it is a heading for those below it.
type Row struct{ Term, Meaning string }
