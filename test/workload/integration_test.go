//go:build integration

package workload

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRealWriter writes to a real index by an alias, through a proxy that loses replies,
// while writes are refused for a while and the alias moves on to a copy.
func TestRealWriter(t *testing.T) {
	urls := strings.Split(os.Getenv("TWOKEY_TEST_ES"), ",")
	if urls[0] == "" {
		t.Skip("TWOKEY_TEST_ES is not set: see make integration")
	}
	p, err := StartProxy(urls[0])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	nodes := Dial(urls)
	do := func(method, path string, body any) {
		t.Helper()
		if err := nodes.Do(t.Context(), method, path, body, nil); err != nil {
			t.Fatal(err)
		}
	}
	clean := func() {
		_ = Dial(urls).Do(t.Context(), http.MethodDelete, "/workload-a,workload-b?ignore_unavailable=true", nil, nil)
	}
	clean()
	defer clean()
	settings := `"settings":{"number_of_shards":3,"number_of_replicas":1}`
	do(http.MethodPut, "/workload-a", []byte(`{`+settings+`,"mappings":`+Lenient+`,"aliases":{"workload-live":{"is_write_index":true}}}`))
	do(http.MethodPut, "/workload-b", []byte(`{`+settings+`,"mappings":`+Lenient+`}`))
	filling := Filling{Seed: 4, Bad: []int{17, 900}}
	if err := Fill(t.Context(), urls, "workload-a", 3000, filling); err != nil {
		t.Fatal(err)
	}
	w := StartWriter(Writing{
		URLs: []string{p.URL}, Index: "workload-live", Alias: true, Filled: 3000, Filling: filling, Rate: 200, Seed: 5,
	})
	for _, word := range []string{"/_create/", "/_doc/", "/_update/", "/_doc/", "/_doc/"} {
		select {
		case <-p.Drop(func(_, path string) bool { return strings.Contains(path, word) }):
		case <-time.After(time.Minute):
			t.Fatalf("no reply to %s could be dropped", word)
		}
	}
	before := w.Acknowledged()
	do(http.MethodPut, "/workload-a/_block/write", nil)
	do(http.MethodPost, "/workload-a/_refresh", nil)
	do(http.MethodPost, "/_reindex?refresh=true", []byte(`{"source":{"index":"workload-a"},"dest":{"index":"workload-b"}}`))
	do(http.MethodPost, "/_aliases", []byte(`{"actions":[{"remove":{"index":"workload-a","alias":"workload-live"}},{"add":{"index":"workload-b","alias":"workload-live","is_write_index":true}}]}`))
	await(t, func() bool { return w.Acknowledged() > before+200 })
	log := w.Stop(t.Context())
	tries := make(map[int]int)
	for _, e := range log {
		tries[e.Status]++
		if e.Fate == Refused || e.Surprise != "" {
			t.Errorf("%+v", e)
		}
	}
	if tries[0] < 5 || tries[http.StatusForbidden] == 0 {
		t.Errorf("tries by status: %v, want 5 without an answer and some 403", tries)
	}
	d, err := Compare(t.Context(), urls, "workload-live", Replay(Filled(3000, filling), log))
	if err != nil {
		t.Fatal(err)
	}
	if !d.Same() {
		t.Error(d)
	}
	t.Logf("%d tries by status %v; %s", len(log), tries, d)
	// The index of before lacks what was written since.
	if d, err = Compare(t.Context(), urls, "workload-a", Replay(Filled(3000, filling), log)); err != nil || d.Same() {
		t.Errorf("the old index compares as the same: %v %s", err, d)
	}
}
