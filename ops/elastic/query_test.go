package elastic

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
)

func ask(t *testing.T, s sim, kind string, args ...string) ops.Answer {
	t.Helper()
	for _, q := range Queries(s.clusters()) {
		if q.Kind() == kind {
			a, err := q.Answer(t.Context(), call(kind, "", args...))
			if err != nil {
				t.Fatal(err)
			}
			if a.Table != nil {
				for _, row := range a.Table.Rows {
					if len(row) != len(a.Table.Columns) {
						t.Errorf("row %q under %q", row, a.Table.Columns)
					}
				}
			}
			return a
		}
	}
	t.Fatalf("no query %s", kind)
	return ops.Answer{}
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 3, 1, mb)
		if a := ask(t, s, "es health"); a.Title != "staging: green, 3 nodes, 6 shards" || len(a.Lines) != 1 {
			t.Errorf("%+v", a)
		}
		s.exclude(t, "zone", "moon")
		s.Kill("n3")
		a := ask(t, s, "es health")
		if !strings.HasPrefix(a.Title, "staging: yellow, 2 nodes") || !slices.Contains(a.Lines, "Allocation filters: exclude.zone=moon.") {
			t.Errorf("%+v", a)
		}
	})
}

func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 3, 0, mb)
		s.exclude(t, "zone", "spot")
		a := ask(t, s, "es nodes")
		if a.Title != "staging: 3 nodes, master n1" || len(a.Table.Rows) != 3 {
			t.Fatalf("%+v", a)
		}
		last := a.Table.Rows[2]
		if last[0] != "n3" || last[1] != "spot" || last[2] != "data+master" || last[7] != "excluded by zone" {
			t.Errorf("%q", last)
		}
		if first := a.Table.Rows[0]; first[0] != "n1" || first[3] != "1" || first[7] != "master" {
			t.Errorf("%q", first)
		}
	})
}

func TestShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		if a := ask(t, s, "es shards", "n2"); a.Title != "n2 in staging: no shard" || a.Table != nil {
			t.Errorf("%+v", a)
		}
		s.AddIndex("logs", 2, 2, 10*mb)
		a := ask(t, s, "es shards", "n2")
		if !strings.HasPrefix(a.Title, "n2 in staging: 2 shards, ") || len(a.Table.Rows) != 2 {
			t.Fatalf("%+v", a)
		}
		if r := a.Table.Rows[1]; r[0] != "logs" || r[1] != "1" || r[3] != "started" || r[4] == "unknown" {
			t.Errorf("%q", r)
		}
		s.AddIndex("many", 180, 0, mb)
		a = ask(t, s, "es shards", "n2")
		if len(a.Table.Rows) != maxRows || len(a.Lines) != 1 || !strings.Contains(a.Lines[0], "are not") {
			t.Errorf("%d rows, %q", len(a.Table.Rows), a.Lines)
		}
	})
}
