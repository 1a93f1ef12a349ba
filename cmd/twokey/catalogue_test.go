package main

import (
	"testing"

	"twokey/commands"
	"twokey/ops"
)

// watches are the operations that only read: they take long, so they are runs, but nobody
// is asked about them.
var watches = map[string]bool{"cfn watch": true, "sqs watch": true}

// TestCatalogue: every command of the catalogue is carried out by something, of the class
// it says, and every operation and query has its command.
func TestCatalogue(t *testing.T) {
	operations, queries := systems{}.operations(), systems{}.queries()
	engine := ops.New(ops.Options{Operations: operations, Queries: queries})
	listed := make(map[string]bool)
	for _, spec := range commands.Catalog() {
		listed[spec.Kind()] = true
		known, query := engine.Has(spec.Kind())
		switch {
		case spec.Own && known:
			t.Errorf("%s is the bot's own and an operation's", spec.Kind())
		case !spec.Own && !known:
			t.Errorf("%s has no operation", spec.Kind())
		case query && spec.Class != ops.R0.String():
			t.Errorf("%s is a query of class %s", spec.Kind(), spec.Class)
		case !spec.Own && !query && spec.Class == ops.R0.String() && !watches[spec.Kind()]:
			t.Errorf("%s is an operation of class R0: nobody is asked about it", spec.Kind())
		}
	}
	for _, o := range operations {
		if !listed[o.Kind()] {
			t.Errorf("operation %s has no command", o.Kind())
		}
	}
	for _, q := range queries {
		if !listed[q.Kind()] {
			t.Errorf("query %s has no command", q.Kind())
		}
	}
}
