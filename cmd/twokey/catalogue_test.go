package main

import (
	"testing"

	"twokey/commands"
	"twokey/deploy"
	"twokey/ops"
	"twokey/ops/elastic"
)

// TestCatalogue: every command of the catalogue is carried out by something, of the class
// it says, and every operation and query has its command.
func TestCatalogue(t *testing.T) {
	engine := ops.New(ops.Options{
		Operations: elastic.Operations(nil), Queries: append(elastic.Queries(nil), deploy.Queries(nil)...),
	})
	listed := make(map[string]bool)
	for _, spec := range commands.Catalog() {
		listed[spec.Kind()] = true
		known, query := engine.Has(spec.Kind())
		switch {
		case spec.Own && known:
			t.Errorf("%s is the bot's own and an operation's", spec.Kind())
		case !spec.Own && !known:
			t.Errorf("%s has no operation", spec.Kind())
		case !spec.Own && query != (spec.Class == ops.R0.String()):
			t.Errorf("%s is of class %s, and a query: %v", spec.Kind(), spec.Class, query)
		}
	}
	for _, o := range elastic.Operations(nil) {
		if !listed[o.Kind()] {
			t.Errorf("operation %s has no command", o.Kind())
		}
	}
	for _, q := range append(elastic.Queries(nil), deploy.Queries(nil)...) {
		if !listed[q.Kind()] {
			t.Errorf("query %s has no command", q.Kind())
		}
	}
}
