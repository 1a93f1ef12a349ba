package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opstest"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1}, spread{1, 5, 9}},
		{[]float64{5, 1, 4, 2, 3}, spread{1, 3, 5}},
	} {
		if got, ok := spreadOf(c.in); !ok || got != c.want {
			t.Errorf("%v: %v", c.in, got)
		}
	}
	if _, ok := spreadOf(nil); ok {
		t.Error("nothing has a median")
	}
}

// TestTable has a contender that was fast only because it lost documents.
func TestTable(t *testing.T) {
	took := func(seconds ...float64) (runs []figures) {
		for _, s := range seconds {
			runs = append(runs, figures{took: time.Duration(s * float64(time.Second)), copied: 1000})
		}
		return runs
	}
	own := took(5, 4, 2)
	for i := range own {
		own[i].steps = []span{{"copy", own[i].took * 3 / 4}, {"verify", own[i].took / 4}}
	}
	raw := took(10, 10, 10)
	raw[2].alone = 8 * time.Second
	bad := took(1, 1, 1)
	bad[1].copied, bad[2].err = 999, errors.New("broke")
	table := table{name: "t", title: "A test", docs: 1000, rows: []*row{
		{contender{name: "raw", how: "h1"}, raw}, {contender{name: "bad", how: "h2"}, bad},
		{contender{name: "own", how: "h3", twokey: true}, own},
	}}
	md := table.markdown()
	for _, want := range []string{
		"| raw | 3 | 100 | 100 | 100 | 10.0 | 125 |\n",
		"| bad | 1 | 1000 | 1000 | 1000 | 1.0 |  |\n",
		"| own | 3 | 250 | 200 | 500 | 4.0 |  |\n",
		"| raw | 2.50 | 2.00 | 5.00 |\n",
		"| raw, its copying alone | 4.00 | 4.00 | 4.00 |\n",
		"| bad | 0.20 | 0.20 | 0.20 |\n",
		"Verification: 25 % of the time (25 to 25).\nSteps: copy 3.0 s; verify 1.0 s;\n",
		"- raw: h1\n",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in\n%s", want, md)
		}
	}
	if strings.Contains(md, "| own | 1.00") {
		t.Error("compared with itself")
	}
	err := table.failed()
	if err == nil {
		t.Fatal("lost documents are no failure")
	}
	if d := cmp.Diff("t, bad, round 2: 999 documents of 1000\nt, bad, round 3: broke", err.Error()); d != "" {
		t.Error(d)
	}
	if !strings.Contains(table.csv(), "t,\"own\",3,2.000,500,0.000,0.500,1000,1000\n") {
		t.Errorf("csv:\n%s", table.csv())
	}
	table.rows = slices.Delete(table.rows, 1, 2)
	if err := table.failed(); err != nil {
		t.Errorf("nothing was lost: %v", err)
	}
}

func TestRead(t *testing.T) {
	env := map[string]string{"TWOKEY_TEST_ES": "http://a,http://b"}
	o, err := read(func(k string) string { return env[k] })
	if err != nil || o.rounds != 5 || o.docs != 200_000 || o.indices != 200 || len(o.urls) != 2 {
		t.Errorf("%+v %v", o, err)
	}
	for k, v := range map[string]string{"TWOKEY_BENCH_RUNS": "0", "TWOKEY_BENCH_DOCS": "x", "TWOKEY_BENCH_INDICES": "-1", "TWOKEY_BENCH_ONLY": "(", "TWOKEY_TEST_ES": ""} {
		bad := maps.Clone(env)
		bad[k] = v
		if _, err := read(func(k string) string { return bad[k] }); err == nil || !strings.Contains(err.Error(), k) {
			t.Errorf("%s=%q: %v", k, v, err)
		}
	}
}

// TestCarryOut lets a real engine on an embedded Redis carry out a run, and give up
// one that waits for a person.
func TestCarryOut(t *testing.T) {
	world := opstest.NewWorld(nil)
	bench, err := newTwokey(t.Context(), "", []ops.Operation{world})
	if err != nil {
		t.Fatal(err)
	}
	defer bench.close()
	f := bench.carryOut(t.Context(), opstest.Steps("lend a=1", "set b=2", "return a"))
	if f.err != nil {
		t.Fatal(f.err)
	}
	var names []string
	var sum time.Duration
	for _, s := range f.steps {
		names = append(names, s.name)
		sum += s.took
	}
	if d := cmp.Diff([]string{"lend", "set", "return"}, names); d != "" {
		t.Error(d)
	}
	if sum > f.took || f.took-sum > time.Second {
		t.Errorf("the steps took %v of %v", sum, f.took)
	}
	f = bench.carryOut(t.Context(), opstest.Steps("set c=1", "need d"))
	if f.err == nil || !strings.Contains(f.err.Error(), "the run is paused") {
		t.Errorf("a run that waits for a person: %v", f.err)
	}
	if v, left := world.Settings()["c"]; left {
		t.Errorf("a run that was given up left c=%s", v)
	}
	if f := bench.carryOut(t.Context(), ops.Call{Kind: "es nothing"}); !errors.Is(f.err, ops.ErrUnknownKind) {
		t.Errorf("an operation that is not there: %v", f.err)
	}
}
