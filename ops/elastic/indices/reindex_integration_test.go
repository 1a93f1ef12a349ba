//go:build integration

package indices

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/opstest"
	"twokey/test/workload"
)

// These tests change a real cluster named by TWOKEY_TEST_ES: three nodes n1, n2, n3 in the
// zones a, b and spot, nothing of worth in it. Their indices begin with copy-.

// field is the real cluster: as the code under test sees it, and by hand.
type field struct {
	Site
	t    *testing.T
	urls []string
	*workload.Nodes
}

func realField(t *testing.T) field {
	t.Helper()
	urls := strings.Split(os.Getenv("TWOKEY_TEST_ES"), ",")
	if urls[0] == "" {
		t.Fatal("TWOKEY_TEST_ES names no cluster")
	}
	client, err := elastic.Connect(elastic.Settings{URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	f := field{Site{Cluster: elastic.Cluster{Environment: "staging", Client: client}}, t, urls, workload.Dial(urls)}
	f.wipe()
	t.Cleanup(f.wipe)
	return f
}

func (f field) wipe() {
	var rows []struct{ Index string }
	f.do("GET", "/_cat/indices/copy-*?format=json&h=index", nil, &rows)
	for _, r := range rows {
		f.do("DELETE", "/"+r.Index, nil, nil)
	}
}

// do sends a request by hand.
func (f field) do(method, path string, body, out any) {
	f.t.Helper()
	if err := f.Nodes.Do(context.Background(), method, path, body, out); err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
}

type object = map[string]any

// index makes an index behind an alias of its name and "-alias".
func (f field) index(name string, shards, replicas int, mappings object) {
	f.t.Helper()
	f.do("PUT", "/"+name+"?wait_for_active_shards=all", object{
		"settings": object{"number_of_shards": shards, "number_of_replicas": replicas},
		"mappings": mappings,
		"aliases":  object{name + "-alias": object{"is_write_index": true}},
	}, nil)
}

func (f field) fill(index string, n int, o workload.Filling) {
	f.t.Helper()
	if err := workload.Fill(context.Background(), f.urls, index, n, o); err != nil {
		f.t.Fatal(err)
	}
}

func (f field) rig() *opstest.Rig {
	return opstest.NewRig(f.t, ops.Options{}, Operations(map[string]Site{"staging": f.Site})...)
}

func copyCall(src, dst string, flags ...string) ops.Call {
	c := ops.Call{Kind: "es reindex", Environment: "staging", Args: []string{src, dst}, Flags: map[string]string{}}
	for i := 0; i+1 < len(flags); i += 2 {
		c.Flags[flags[i]] = flags[i+1]
	}
	return c
}

// check compares an index with what should be in it.
func (f field) check(index string, want workload.Content) {
	f.t.Helper()
	f.do("POST", "/"+index+"/_refresh", nil, nil)
	d, err := workload.Compare(context.Background(), f.urls, index, want)
	if err != nil {
		f.t.Fatal(err)
	}
	if !d.Same() {
		f.t.Errorf("%s: %s", index, d)
	}
}

func show(t *testing.T, run ops.Run, said []ops.Event) {
	t.Helper()
	for _, e := range said {
		t.Logf("%s %s", e.At.Format("05.000"), e.Text)
	}
	if run.State != ops.Succeeded {
		t.Fatalf("run is %s: %s %s", run.State, run.Reason, run.LastError)
	}
}

func TestRealReindex(t *testing.T) {
	for _, writes := range []string{writesBlock, writesCatchup} {
		t.Run(writes, func(t *testing.T) {
			f := realField(t)
			f.index("copy-src", 3, 1, object{"properties": object{"n": object{"type": "long"}}})
			filling := workload.Filling{}
			f.fill("copy-src", 50_000, filling)
			// Two shards of some 16,700 operations are cut into two parts, the largest into three.
			f.partSize = (f.operations("copy-src")[1] + 1) / 2
			rig := f.rig()
			plan := rig.Submit("01COPY", copyCall("copy-src", "copy-dst", "writes", writes, "max-impact", "full"))
			for _, l := range plan.Shown {
				t.Logf("%s: %s", l.Label, l.Text)
			}
			for _, s := range plan.Steps {
				t.Logf("step %s: %s", s.Name, s.Title)
			}
			began := time.Now()
			run := rig.Finish("01COPY")
			show(t, run, rig.Said("01COPY"))
			t.Logf("figure: %s: 50000 documents in %.1f s", writes, time.Since(began).Seconds())
			f.check("copy-dst", workload.Filled(50_000, filling))
			if said := rig.Said("01COPY"); !slices.ContainsFunc(said, func(e ops.Event) bool { return strings.Contains(e.Text, "in 7 parts") }) {
				t.Error("not copied in 7 parts")
			}
			if at := aliasAt(f, "copy-src-alias"); at != "copy-dst" {
				t.Errorf("alias at %s", at)
			}
		})
	}
}

// operations are how many operations each shard of an index took, the fewest first.
func (f field) operations(name string) []int64 {
	f.t.Helper()
	x, err := f.metadata(context.Background(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	now, err := f.positions(context.Background(), x)
	if err != nil {
		f.t.Fatal(err)
	}
	var n []int64
	for _, last := range now.Latest {
		n = append(n, last+1)
	}
	slices.Sort(n)
	return n
}

func aliasAt(f field, alias string) string {
	var answer map[string]any
	f.do("GET", "/_alias/"+alias, nil, &answer)
	var names []string
	for n := range answer {
		names = append(names, n)
	}
	return fmt.Sprint(strings.Join(names, ","))
}

// TestRealSlices: with as many slices as shards, each slice is the shard of its number.
func TestRealSlices(t *testing.T) {
	for _, shards := range []int{2, 3, 7} {
		f := realField(t)
		f.index("copy-src", shards, 1, object{})
		f.fill("copy-src", 2_000, workload.Filling{})
		for id := range shards {
			var answer struct {
				Scroll string `json:"_scroll_id"`
				Hits   struct {
					Hits []struct {
						Shard string `json:"_shard"`
					} `json:"hits"`
				} `json:"hits"`
			}
			f.do("POST", "/copy-src/_search?scroll=1m", object{"slice": object{"id": id, "max": shards}, "explain": true, "_source": false, "size": 2_000}, &answer)
			f.do("DELETE", "/_search/scroll", object{"scroll_id": answer.Scroll}, nil)
			if n := len(answer.Hits.Hits); n < 2_000/shards/2 {
				t.Errorf("slice %d of %d: %d documents", id, shards, n)
			}
			for _, h := range answer.Hits.Hits {
				if want := fmt.Sprintf("[copy-src][%d]", id); h.Shard != want {
					t.Fatalf("slice %d of %d has a document of %s", id, shards, h.Shard)
				}
			}
		}
	}
}

// TestRealRefused copies documents of which 37 do not fit, and puts them aside.
func TestRealRefused(t *testing.T) {
	f := realField(t)
	f.do("PUT", "/copy-src", object{"settings": object{"number_of_shards": 3, "number_of_replicas": 0},
		"mappings": json.RawMessage(workload.Lenient), "aliases": object{"copy-src-alias": object{}}}, nil)
	f.do("PUT", "/copy-dst", object{"settings": object{"number_of_shards": 2, "number_of_replicas": 0}, "mappings": json.RawMessage(workload.Strict)}, nil)
	filling := workload.Filling{}
	for i := range 37 {
		filling.Bad = append(filling.Bad, i*811)
	}
	f.fill("copy-src", 30_050, filling)
	rig := f.rig()
	rig.Submit("01COPY", copyCall("copy-src", "copy-dst", "writes", "catchup", "max-impact", "full"))
	run := rig.Finish("01COPY")
	if run.State != ops.Paused || !strings.Contains(run.Reason, "37 documents") {
		t.Fatalf("run is %s: %s", run.State, run.Reason)
	}
	var file *ops.File
	for _, e := range rig.Said("01COPY") {
		t.Log(e.Text)
		if e.File != nil {
			file = e.File
		}
	}
	var want []string
	for _, i := range filling.Bad {
		want = append(want, workload.ID(i))
	}
	slices.Sort(want)
	var got, fields []string
	for line := range strings.Lines(file.Content) {
		if cells := strings.Split(line, "\t"); cells[0] != "id" {
			got, fields = append(got, cells[0]), append(fields, cells[2])
		}
	}
	t.Log(strings.SplitN(file.Content, "\n", 4)[1:3])
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for i, field := range fields {
		if (field != "n") && (field != "from") {
			t.Errorf("%s: field %q", got[i], field)
		}
	}
	if err := rig.Engine.Cancel(t.Context(), "01COPY", "UASKS"); err != nil {
		t.Fatal(err)
	}
	run = rig.Finish("01COPY")
	for _, e := range rig.Said("01COPY")[5:] {
		t.Log(e.Text)
	}
	if run.State != ops.Cancelled {
		t.Fatalf("run is %s: %s", run.State, run.Reason)
	}

	f.do("DELETE", "/copy-dst", nil, nil)
	f.do("PUT", "/copy-dst", object{"settings": object{"number_of_shards": 2, "number_of_replicas": 0}, "mappings": json.RawMessage(workload.Strict)}, nil)
	rig.Submit("01AGAIN", copyCall("copy-src", "copy-dst", "writes", "catchup", "max-impact", "full", "quarantine", "true"))
	run = rig.Finish("01AGAIN")
	show(t, run, rig.Said("01AGAIN"))
	all := workload.Filled(30_050, filling)
	for _, id := range want {
		delete(all, id)
	}
	f.check("copy-dst", all)
	var answer struct{ Count int }
	f.do("POST", "/copy-dst-refused/_refresh", nil, nil)
	f.do("GET", "/copy-dst-refused/_count", nil, &answer)
	if answer.Count != 37 {
		t.Errorf("%d put aside", answer.Count)
	}
}

// TestRealCampaign copies 24 small indices and goes back with one of them.
func TestRealCampaign(t *testing.T) {
	f := realField(t)
	filling := workload.Filling{}
	for i := range 24 {
		name := fmt.Sprintf("copy-v1_%02d", i)
		f.index(name, 1, 1, object{})
		f.fill(name, 300+i*10, filling)
	}
	rig := f.rig()
	plan := rig.Submit("01CAMPAIGN", ops.Call{Kind: "es campaign", Environment: "staging", Args: []string{"copy-v1_*"}, Flags: map[string]string{"to": "copy-v2_*", "max-impact": "full", "shards": "auto"}})
	for _, l := range plan.Shown {
		t.Logf("%s: %s", l.Label, l.Text)
	}
	began := time.Now()
	run := rig.Finish("01CAMPAIGN")
	show(t, run, rig.Said("01CAMPAIGN"))
	for _, e := range rig.Said("01CAMPAIGN") {
		if e.File != nil {
			t.Log(e.File.Content)
		}
	}
	t.Logf("figure: campaign of 24 small indices: %.1f s", time.Since(began).Seconds())
	for i := range 24 {
		f.check(fmt.Sprintf("copy-v2_%02d", i), workload.Filled(300+i*10, filling))
		if at := aliasAt(f, fmt.Sprintf("copy-v1_%02d-alias", i)); at != fmt.Sprintf("copy-v2_%02d", i) {
			t.Errorf("alias %d at %s", i, at)
		}
	}
	// Back with one, after it was written to.
	f.do("PUT", "/copy-v1_03-alias/_doc/late", object{"n": 1}, nil)
	f.do("DELETE", "/copy-v1_03-alias/_doc/"+workload.ID(5), nil, nil)
	rig.Submit("01BACK", ops.Call{Kind: "es swap-back", Environment: "staging", Args: []string{"copy-v2_03"}})
	run = rig.Finish("01BACK")
	show(t, run, rig.Said("01BACK"))
	want := workload.Filled(330, filling)
	delete(want, workload.ID(5))
	want["late"] = []json.RawMessage{json.RawMessage(`{"n":1}`)}
	f.check("copy-v1_03", want)
	if at := aliasAt(f, "copy-v1_03-alias"); at != "copy-v1_03" {
		t.Errorf("alias at %s", at)
	}
}

// TestRealEnriched: each document goes through an ingest pipeline, by the server's tasks and
// through Twokey.
func TestRealEnriched(t *testing.T) {
	f := realField(t)
	f.do("PUT", "/_ingest/pipeline/copy-tier", object{"processors": []any{object{"set": object{"field": "tier", "value": "gold"}}}}, nil)
	defer f.do("DELETE", "/_ingest/pipeline/copy-tier", nil, nil)
	for i, n := range []int{30_000, 900} {
		src, dst, id := fmt.Sprintf("copy-raw%d", i), fmt.Sprintf("copy-rich%d", i), fmt.Sprintf("01ENRICH%d", i)
		f.index(src, 2, 0, object{"properties": object{"n": object{"type": "long"}, "tier": object{"type": "keyword"}}})
		f.fill(src, n, workload.Filling{Seed: uint64(i)})
		rig := f.rig()
		rig.Submit(id, copyCall(src, dst, "pipeline", "copy-tier"))
		show(t, rig.Finish(id), rig.Said(id))
		var all struct{ Count int }
		f.do("POST", "/"+dst+"/_refresh", nil, nil)
		f.do("POST", "/"+dst+"/_count", object{"query": object{"term": object{"tier": "gold"}}}, &all)
		if all.Count != n {
			t.Errorf("%d of %d documents went through the pipeline", all.Count, n)
		}
	}
}
