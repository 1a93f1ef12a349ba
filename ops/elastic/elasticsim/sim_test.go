package elasticsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// three is the cluster most tests use.
func three() *Cluster {
	return New(Options{Nodes: []Node{{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"}}})
}

// call asks the cluster; the answer is its status and body.
func call(t *testing.T, c *Cluster, method, path, body string) (int, string) {
	t.Helper()
	resp, err := send1(c, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func send1(c *Cluster, method, path, body string) (*http.Response, error) {
	req, err := http.NewRequest(method, "http://es"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return c.RoundTripper().RoundTrip(req)
}

func get(t *testing.T, c *Cluster, path string) string {
	t.Helper()
	status, body := call(t, c, "GET", path, "")
	if status != 200 {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	return body
}

func put(t *testing.T, c *Cluster, settings string) {
	t.Helper()
	if status, body := call(t, c, "PUT", "/_cluster/settings", settings); status != 200 {
		t.Fatalf("PUT settings %s: %d %s", settings, status, body)
	}
}

func exclude(name string) string {
	return fmt.Sprintf(`{"persistent":{"cluster.routing.allocation.exclude._name":%s}}`, name)
}

// drained waits until the node is empty and says how long it took.
func drained(t *testing.T, c *Cluster, name string, limit time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	for c.Shards(name) > 0 {
		if time.Since(begin) > limit {
			t.Fatalf("%d shards still on %s after %s", c.Shards(name), name, limit)
		}
		time.Sleep(time.Second)
	}
	return time.Since(begin)
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.AddIndex("logs", 6, 1, 400<<20)
		c.AddIndex("solo", 3, 0, 400<<20)
		before := c.Shards("n2")
		put(t, c, exclude(`"n2"`))
		if got := get(t, c, "/_cluster/health?filter_path=relocating_shards"); got == `{"relocating_shards":0}` {
			t.Error("nothing moves after the exclusion")
		}
		took := drained(t, c, "n2", time.Hour)
		if took < 10*time.Second || took > 5*time.Minute {
			t.Errorf("%d shards of 400 MiB left in %s", before, took)
		}
		if got := get(t, c, "/_cat/allocation/n2?h=shards"); got != "0\n" {
			t.Errorf("_cat/allocation = %q", got)
		}
		if got := get(t, c, "/_cluster/health?filter_path=status,active_shards"); got != `{"status":"green","active_shards":15}` {
			t.Error(got)
		}
		put(t, c, exclude("null"))
		time.Sleep(5 * time.Minute)
		if c.Shards("n2") < before-1 {
			t.Errorf("after readmission n2 holds %d shards, before %d", c.Shards("n2"), before)
		}
	})
}

func TestSandboxDrainTakesHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []string{"n1", "n2", "n3", "n4", "n5", "n6"} {
			c := Sandbox()
			shards := c.Shards(n)
			put(t, c, exclude(`"`+n+`"`))
			took := drained(t, c, n, time.Hour)
			t.Logf("%s: %d shards left in %s", n, shards, took)
			if took < 15*time.Second || took > time.Minute {
				t.Errorf("%s: %s", n, took)
			}
		}
		c := Sandbox()
		var health struct {
			Active int    `json:"active_shards"`
			Status string `json:"status"`
		}
		if err := json.Unmarshal([]byte(get(t, c, "/_cluster/health")), &health); err != nil {
			t.Fatal(err)
		}
		if health.Status != "green" || health.Active < 80 || health.Active > 90 {
			t.Errorf("%+v", health)
		}
	})
}
