// Package commands is the grammar: it turns what people type into an Invocation,
// or into a short error that shows the right form. It is pure: no clock, no I/O.
//
// A command is a path of words ("es drain"), arguments, and flags. Slack's
// composer mangles what people type (em dashes for --, curly quotes, no-break
// spaces, links, mentions); Parse undoes that. catalog.go lists every
// command, one entry each; help for every level is generated from it.
package commands
