package elasticsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type copied struct {
	Completed bool
	Took      int
	Total     int
	Created   int
	Updated   int
	Conflicts int `json:"version_conflicts"`
	Batches   int
	Canceled  string
	Throttled int `json:"throttled_millis"`
	Failures  []struct {
		ID     string
		Index  string
		Status int
		Cause  struct{ Type string }
		Reason struct{ Type string }
	}
	Retries struct{ Bulk int }
}

type taskAnswer struct {
	Completed bool
	Task      struct {
		Status  copied
		Headers map[string]string
	}
	Response copied
}

// begin starts a reindex and returns its task.
func begin(t *testing.T, c *Cluster, params, body string) string {
	t.Helper()
	var a struct{ Task string }
	ask(t, c, 200, "POST", "/_reindex?wait_for_completion=false"+params, body, &a)
	return a.Task
}

func poll(t *testing.T, c *Cluster, task string) taskAnswer {
	t.Helper()
	var a taskAnswer
	ask(t, c, 200, "GET", "/_tasks/"+task, "", &a)
	return a
}

const fromAtoB = `{"source":{"index":"a"},"dest":{"index":"b"}}`

func TestReindexTakesTimeAndRacesWithWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{DocsPerSecond: 1000, Nodes: []Node{{Name: "n1"}}})
		ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_replicas":0,"number_of_shards":2}}`, nil)
		ask(t, c, 200, "PUT", "/b", `{"settings":{"number_of_replicas":0}}`, nil)
		fill(t, c, "a", 5000)
		task := begin(t, c, "", `{"conflicts":"proceed","source":{"index":"a"},"dest":{"index":"b","version_type":"external"}}`)
		time.Sleep(2500 * time.Millisecond)
		if a := poll(t, c, task); a.Completed || a.Task.Status.Total != 5000 || a.Task.Status.Created != 2000 || a.Task.Status.Batches != 2 {
			t.Errorf("after 2.5 s: %+v", a)
		}
		if n := len(c.Docs("b")); n != 2000 {
			t.Errorf("%d documents there", n)
		}
		// The task read its documents at the start: it writes what is gone by now.
		last := c.Docs("a")[4999].ID
		for _, d := range c.Docs("a") {
			if d.SeqNo == 2400 {
				last = d.ID
			}
		}
		ask(t, c, 200, "DELETE", "/a/_doc/"+last, "", nil)
		ask(t, c, 201, "PUT", "/b/_doc/"+last+"?version=9&version_type=external", `{}`, nil)
		ask(t, c, 201, "PUT", "/a/_doc/new", `{}`, nil)
		time.Sleep(10 * time.Second)
		a := poll(t, c, task)
		if !a.Completed || a.Response.Created != 4999 || a.Response.Conflicts != 1 || a.Response.Took < 5000 || a.Response.Took > 5100 {
			t.Errorf("at the end: %+v", a.Response)
		}
		if len(c.Docs("b")) != 5000 || len(c.Tasks()) != 0 {
			t.Errorf("%d documents, tasks %v", len(c.Docs("b")), c.Tasks())
		}
	})
}

func TestTasksOfANodeShareItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{DocsPerSecond: 1000, Nodes: []Node{{Name: "n1"}, {Name: "n2"}}})
		fill(t, c, "a", 3000)
		begun := time.Now()
		first, second := begin(t, c, "", fromAtoB), begin(t, c, "", strings.ReplaceAll(fromAtoB, `"b"`, `"c"`))
		ask(t, c, 200, "GET", "/_tasks/"+first+"?wait_for_completion=true&timeout=1m", "", nil)
		ask(t, c, 200, "GET", "/_tasks/"+second+"?wait_for_completion=true&timeout=1m", "", nil)
		if took := time.Since(begun); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("two tasks of 3 s took %s", took)
		}
	})
}

func TestThrottleRethrottleAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		fill(t, c, "a", 1000)
		slow := `{"source":{"index":"a","size":100},"dest":{"index":"b"}}`
		task := begin(t, c, "&requests_per_second=10", slow)
		time.Sleep(25 * time.Second)
		if a := poll(t, c, task); a.Task.Status.Created != 300 {
			t.Errorf("10 a second: %+v", a.Task.Status)
		}
		if got := c.Tasks(); len(got) != 1 || got[0].Rate != 10 || got[0].Written != 300 || got[0].Dest != "b" {
			t.Errorf("%+v", got)
		}
		ask(t, c, 200, "POST", "/_reindex/"+task+"/_rethrottle?requests_per_second=100", "", nil)
		time.Sleep(3 * time.Second)
		if a := poll(t, c, task); a.Task.Status.Created != 600 {
			t.Errorf("100 a second: %+v", a.Task.Status)
		}
		ask(t, c, 200, "POST", "/_tasks/"+task+"/_cancel", "", nil)
		if a := poll(t, c, task); !a.Completed || a.Response.Canceled != "by user request" || a.Response.Created != 600 || a.Response.Throttled < 20_000 {
			t.Errorf("cancelled: %+v", a.Response)
		}
		time.Sleep(time.Hour)
		if n := len(c.Docs("b")); n != 600 {
			t.Errorf("%d documents after the end", n)
		}
		begun := time.Now()
		var a copied
		ask(t, c, 200, "POST", "/_reindex?requests_per_second=100&slices=2", slow, &a)
		if took := time.Since(begun); a.Updated != 600 || a.Created != 400 || took < 8*time.Second || took > 11*time.Second {
			t.Errorf("%+v after %s", a, took)
		}
	})
}

func TestAKilledNodeLosesItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_replicas":0,"index.routing.allocation.require._name":"n1"}}`, nil)
		ask(t, c, 200, "PUT", "/b", `{"settings":{"number_of_replicas":0,"index.routing.allocation.require._name":"n1"}}`, nil)
		fill(t, c, "a", 2000)
		on := func(node, params string) string {
			req, err := http.NewRequest("POST", "http://"+node+"/_reindex?wait_for_completion=false"+params, strings.NewReader(fromAtoB))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Opaque-Id", "part-1")
			if _, err := c.RoundTripper().RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			for _, task := range c.Tasks() {
				if task.Node == node && task.OpaqueID == "part-1" {
					return task.ID
				}
			}
			t.Fatalf("no task on %s: %+v", node, c.Tasks())
			return ""
		}
		done := on("n2", "")
		ask(t, c, 200, "GET", "/_tasks/"+done+"?wait_for_completion=true", "", nil)
		running := on("n2", "&requests_per_second=1")
		if a := poll(t, c, running); a.Task.Headers["X-Opaque-Id"] != "part-1" {
			t.Errorf("%+v", a.Task.Headers)
		}
		// One that is waited for: the reply never comes.
		lost := make(chan error)
		go func() {
			req, err := http.NewRequest("POST", "http://n2/_reindex?requests_per_second=1", strings.NewReader(fromAtoB))
			if err == nil {
				req.Header.Set("Content-Type", "application/json")
				_, err = c.RoundTripper().RoundTrip(req)
			}
			lost <- err
		}()
		synctest.Wait()
		c.Kill("n2")
		if err := <-lost; err == nil {
			t.Error("a dead node answered")
		}
		status, body := call(t, c, "GET", "/_tasks/"+running, "")
		if status != 404 || !strings.Contains(body, "which isn't part of the cluster and there is no record of the task") {
			t.Errorf("%d %s", status, body)
		}
		poll(t, c, done) // its result is stored
		c.Start("n2")
		if status, body = call(t, c, "GET", "/_tasks/"+running, ""); status != 404 || !strings.Contains(body, `"reason":"task [`+running+`] isn't running and hasn't stored its results"},"status"`) {
			t.Errorf("%d %s", status, body)
		}
		// The node with the documents dies: the task fails, it does not hang.
		reading := on("n3", "&requests_per_second=1000")
		time.Sleep(100 * time.Millisecond)
		c.Kill("n1")
		c.Start("n1")
		time.Sleep(2 * time.Minute)
		if a := poll(t, c, reading); !a.Completed || len(a.Response.Failures) != 1 || a.Response.Failures[0].Reason.Type != "search_context_missing_exception" {
			t.Errorf("%+v", a)
		}
	})
}

func TestReindexWaitsForItsTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		ask(t, c, 200, "PUT", "/b", `{"settings":{"number_of_replicas":0,"index.routing.allocation.require._name":"n3"}}`, nil)
		ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_replicas":0,"index.routing.allocation.require._name":"n1"}}`, nil)
		fill(t, c, "a", 100)
		c.Kill("n3")
		task := begin(t, c, "", fromAtoB)
		time.Sleep(30 * time.Second)
		c.Start("n3")
		time.Sleep(time.Second)
		if a := poll(t, c, task); !a.Completed || a.Response.Created != 100 {
			t.Errorf("%+v", a)
		}
		c.Kill("n3")
		begun := time.Now()
		var a copied
		ask(t, c, 503, "POST", "/_reindex?timeout=20s", fromAtoB, &a)
		if len(a.Failures) != 100 || a.Failures[0].Cause.Type != "unavailable_shards_exception" || time.Since(begun).Round(time.Second) != 20*time.Second {
			t.Errorf("%d failures after %s", len(a.Failures), time.Since(begun))
		}
		c.Start("n3")
		time.Sleep(time.Second)
		c.RejectWrites("n3", 3)
		ask(t, c, 200, "POST", "/_reindex", fromAtoB, &a)
		if a.Updated != 100 || a.Retries.Bulk != 1 {
			t.Errorf("%+v", a)
		}
	})
}

func TestSlicesCoverEveryDocumentOnce(t *testing.T) {
	for _, shards := range []int{1, 3, 5} {
		for _, most := range []int{2, 3, 7} {
			c := three()
			ask(t, c, 200, "PUT", "/a", fmt.Sprintf(`{"settings":{"number_of_replicas":0,"number_of_shards":%d}}`, shards), nil)
			fill(t, c, "a", 500)
			for id := range most {
				var a copied
				ask(t, c, 200, "POST", "/_reindex", fmt.Sprintf(`{"source":{"index":"a","slice":{"id":%d,"max":%d}},"dest":{"index":"b","op_type":"create"}}`, id, most), &a)
			}
			if n := len(c.Docs("b")); n != 500 {
				t.Errorf("%d slices of %d shards copied %d of 500", most, shards, n)
			}
		}
	}
}
