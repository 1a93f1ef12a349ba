package elastic

import (
	"maps"
	"testing"

	"twokey/ops"
)

func text(s string) *string { return &s }

func n2() []target { return []target{{"n2", "ID2", persistent, "_name"}} }

// ours is a journal entry of the setting that holds our tokens.
func ours(s slot, before *string) ops.Change {
	return ops.Change{Key: ownKey(s), Scope: string(s.Scope), Setting: allocationPrefix + exclude + "." + s.Key, Before: before, State: ops.Written}
}

// lent is a journal entry of another's text, altered and not put back yet.
func lent(s slot, before string) ops.Change {
	return ops.Change{Key: borrowedKey(s, before), Scope: string(s.Scope), Setting: allocationPrefix + exclude + "." + s.Key, Before: &before, State: ops.Intended}
}

func TestGoalWith(t *testing.T) {
	tests := []struct {
		name    string
		now     texts
		journal []ops.Change
		want    texts
	}{
		{"alone", texts{}, nil, texts{pers("_name"): "n2"}},
		{"beside a zone", texts{pers("zone"): "spot"}, nil, texts{pers("_name"): "n2,n2", pers("zone"): "spot"}},
		{"beside an empty zone", texts{pers("zone"): ""}, nil, texts{pers("_name"): "n2", pers("zone"): ""}},
		{"merged with others' names", texts{pers("_name"): "n5 , n6"}, nil, texts{pers("_name"): "n5,n6,n2"}},
		{"merged with others' names beside a transient zone", texts{pers("_name"): "n5", trans("zone"): "spot"}, nil,
			texts{pers("_name"): "n5,n2,n2", trans("zone"): "spot"}},
		{"there already", texts{pers("_name"): "n2,n2", pers("zone"): "spot"}, nil, texts{pers("_name"): "n2,n2", pers("zone"): "spot"}},
		{"zone still altered by us", texts{pers("_name"): "n2", pers("zone"): "spot,spot"}, []ops.Change{ours(pers("_name"), nil), lent(pers("zone"), "spot")},
			texts{pers("_name"): "n2,n2", pers("zone"): "spot"}},
		{"zone changed by somebody since", texts{pers("_name"): "n2", pers("zone"): "canary"}, []ops.Change{ours(pers("_name"), nil), lent(pers("zone"), "spot")},
			texts{pers("_name"): "n2", pers("zone"): "canary"}},
		{"undoing an undrain gives the text before", texts{pers("_name"): "n5"}, []ops.Change{ours(pers("_name"), text("n5,n2,n2"))},
			texts{pers("_name"): "n5,n2,n2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := goalWith(tt.now, n2(), tt.journal); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestGoalWithout(t *testing.T) {
	tests := []struct {
		name    string
		now     texts
		journal []ops.Change
		want    texts
	}{
		{"absent before", texts{pers("_name"): "n2"}, []ops.Change{ours(pers("_name"), nil)}, texts{}},
		{"empty before", texts{pers("_name"): "n2"}, []ops.Change{ours(pers("_name"), text(""))}, texts{pers("_name"): ""}},
		{"others' text to the letter", texts{pers("_name"): "n5,n6,n2"}, []ops.Change{ours(pers("_name"), text(" n5, n6"))}, texts{pers("_name"): " n5, n6"}},
		{"a list to the letter", texts{pers("_name"): "n5,n2"}, []ops.Change{ours(pers("_name"), text(`["n5"]`))}, texts{pers("_name"): `["n5"]`}},
		{"others added since", texts{pers("_name"): "n2,n2,n9"}, []ops.Change{ours(pers("_name"), nil)}, texts{pers("_name"): "n9"}},
		{"taken out by somebody", texts{pers("_name"): "n9"}, []ops.Change{ours(pers("_name"), nil)}, texts{pers("_name"): "n9"}},
		{"it was there before us", texts{pers("_name"): "n2,n2"}, []ops.Change{ours(pers("_name"), text("n2"))}, texts{pers("_name"): "n2"}},
		{"zone still altered by us", texts{pers("_name"): "n2", pers("zone"): "spot,spot"}, []ops.Change{ours(pers("_name"), nil), lent(pers("zone"), "spot")},
			texts{pers("zone"): "spot"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := goalWithout(tt.now, n2(), tt.journal, foundBefore(n2(), tt.journal)); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFilterKey(t *testing.T) {
	for name, want := range map[string]string{
		"n2": "_name", "es-data-7.prod": "_name", "n*": "_id", "a,b": "_id", "my node": "_id", "[x]": "_id", `a"b`: "_id",
	} {
		if got := filterKey(name); got != want {
			t.Errorf("filterKey(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestExcludedAs(t *testing.T) {
	now := texts{pers("_name"): "n1,n2", trans("_id"): "ID2", pers("zone"): "n2"}
	got := excludedAs(now, target{Name: "n2", ID: "ID2"})
	if len(got) != 2 || got[0].slot() != trans("_id") || got[1].slot() != pers("_name") {
		t.Errorf("found %v", got)
	}
}
