package elasticsim

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// The answers in testdata/recorded.txtar and testdata/documents.txtar come from a real 8.19.13 cluster of three
// nodes n1, n2, n3 in the zones a, b, spot, with the disk threshold switched off:
//
//	TWOKEY_TEST_ES=http://127.0.0.11:9200,... go test -run TestConformance -record
//
// Without -record, and with TWOKEY_TEST_ES, the real cluster is compared with the
// recording too. The tests make and delete indices whose names begin with "conf-".
var record = flag.Bool("record", false, "write testdata/*.txtar from the cluster of TWOKEY_TEST_ES")

func TestConformance(t *testing.T) { conform(t, "testdata/recorded.txtar", conformance()) }

// Unlike TestConformance it changes no setting of the cluster.
func TestConformanceOfDocuments(t *testing.T) {
	conform(t, "testdata/documents.txtar", documentSteps())
}

func conform(t *testing.T, file string, steps []step) {
	real := strings.Split(os.Getenv("TWOKEY_TEST_ES"), ",")[0]
	if *record && real == "" {
		t.Fatal("-record needs TWOKEY_TEST_ES")
	}
	if real != "" {
		t.Run("real", func(t *testing.T) { run(t, file, steps, elect(t, real), http.DefaultClient.Do) })
	}
	if *record {
		return
	}
	t.Run("simulated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC))) // a bubble begins in 2000
			c := New(Options{Nodes: []Node{
				{Name: "n1", Zone: "a", IP: "127.0.0.11", Attributes: map[string]string{"rack": "r1"}},
				{Name: "n2", Zone: "b", IP: "127.0.0.12", Attributes: map[string]string{"rack": "r2"}},
				{Name: "n3", Zone: "spot", IP: "127.0.0.13", Attributes: map[string]string{"rack": "r3"}},
			}})
			if err := c.PutSettings(`{"transient":{"cluster.routing.allocation.disk.threshold_enabled":false}}`); err != nil {
				t.Fatal(err)
			}
			run(t, file, steps, "http://es", c.RoundTripper().RoundTrip)
		})
	})
}

// elect makes n1, which is at url and on which the steps pin their indices, the elected
// master, as it was when the answers were recorded: errors lose their types on the way from
// node to node.
func elect(t *testing.T, url string) string {
	t.Helper()
	master := func() string {
		return strings.TrimSpace(fetch(t, http.DefaultClient.Do, "GET", url+"/_cat/master?h=node", "").body)
	}
	if master() != "n1" {
		fetch(t, http.DefaultClient.Do, "POST", url+"/_cluster/voting_config_exclusions?node_names=n2,n3", "")
		for deadline := time.Now().Add(30 * time.Second); master() != "n1" && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond)
		}
		fetch(t, http.DefaultClient.Do, "DELETE", url+"/_cluster/voting_config_exclusions?wait_for_removal=false", "")
	}
	if is := master(); is != "n1" {
		t.Fatalf("n1 is not the master, but %q", is)
	}
	// Shards that move would be seen in the explanations.
	fetch(t, http.DefaultClient.Do, "GET", url+"/_cluster/health?wait_for_no_relocating_shards=true&wait_for_no_initializing_shards=true&timeout=60s", "")
	return url
}

func run(t *testing.T, file string, steps []step, base string, do func(*http.Request) (*http.Response, error)) {
	var archive txtar.Archive
	recorded := map[string]reply{}
	if !*record {
		recorded = load(t, file)
	}
	ids := map[string]string{}
	for line := range strings.Lines(fetch(t, do, "GET", base+"/_cat/nodes?h=name,id&full_id=true", "").body) {
		if f := strings.Fields(line); len(f) == 2 {
			ids["{"+f[0]+"}"] = f[1]
		}
	}
	task := ""
	for _, s := range steps {
		path := strings.ReplaceAll(s.path, "{task}", task)
		for k, id := range ids {
			path = strings.ReplaceAll(path, k, id)
		}
		got := fetch(t, do, s.method, base+path, s.body)
		var started struct{ Task string }
		if json.Unmarshal([]byte(got.body), &started) == nil && started.Task != "" {
			task = started.Task // that {task} stands for from now on
		}
		if s.name == "" {
			continue
		}
		if *record {
			text := fmt.Sprintf("%s %s\n%s\n%d %s\n%s\n", s.method, s.path, strings.ReplaceAll(strings.TrimSuffix(s.body, "\n"), "\n", " "), got.status, got.kind, strings.TrimSuffix(got.body, "\n"))
			archive.Files = append(archive.Files, txtar.File{Name: s.name, Data: []byte(text)})
			continue
		}
		want, ok := recorded[s.name]
		if !ok {
			t.Errorf("%s is not recorded", s.name)
			continue
		}
		if diff := cmp.Diff(want.shape(t), got.shape(t)); diff != "" {
			t.Errorf("%s: %s %s %s (-recorded +now)\n%s", s.name, s.method, s.path, s.body, diff)
		}
	}
	if *record {
		if err := os.WriteFile(file, txtar.Format(&archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// load reads the recording: request, its body, status and type, the answer's body.
func load(t *testing.T, file string) map[string]reply {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]reply{}
	for _, f := range archive.Files {
		parts := strings.SplitN(string(f.Data), "\n", 4)
		status, kind, _ := strings.Cut(parts[2], " ")
		code, err := strconv.Atoi(status)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		out[f.Name] = reply{code, kind, strings.TrimSuffix(parts[3], "\n")}
	}
	return out
}

type reply struct {
	status     int
	kind, body string
}

func fetch(t *testing.T, do func(*http.Request) (*http.Response, error), method, url, body string) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		resp, err := do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		// The server forgets the header when a block refuses a request.
		if has := resp.Header.Get("X-Elastic-Product") == "Elasticsearch"; has == (resp.StatusCode == http.StatusForbidden) {
			t.Errorf("%s %s: %d with X-Elastic-Product %t", method, url, resp.StatusCode, has)
		}
		r := reply{resp.StatusCode, resp.Header.Get("Content-Type"), string(b)}
		// A real cluster may still be moving a shard that this request is about.
		if strings.Contains(r.body, "wait until relocation has completed") && time.Now().Before(deadline) {
			time.Sleep(200 * time.Millisecond)
			req.Body, _ = req.GetBody()
			continue
		}
		return r
	}
}

// shape is the answer with everything that may differ between clusters replaced.
func (r reply) shape(t *testing.T) []string {
	t.Helper()
	kind, _, _ := strings.Cut(r.kind, ";")
	out := []string{fmt.Sprint(r.status, " ", kind)}
	if kind != "application/json" {
		return append(out, strings.Split(strings.TrimSuffix(plainText(r.body), "\n"), "\n")...)
	}
	var v any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	return append(out, shapeOf("", v)...)
}

// Texts under these names must be the server's; others only need to be texts.
var exact = regexp.MustCompile(`^(type|reason|decider|decision|explanation|move_explanation|rebalance_explanation|allocate_explanation|can_.*|node_decision|state|status|current_state|last_allocation_status|error|prirep|cluster\..*|_name|_ip|zone|unassigned.reason|tagline|resource.type)$`)

var word = regexp.MustCompile(`[A-Za-z0-9_-]+`)

var taskNumber = regexp.MustCompile(`<id>:\d+`)

// anonymous replaces ids of nodes, shards, clusters and tasks.
func anonymous(s string) string {
	return taskNumber.ReplaceAllString(word.ReplaceAllStringFunc(s, func(w string) string {
		if len(w) == 22 && strings.ToLower(w) != w {
			return "<id>"
		}
		return w
	}), "<id>:<n>")
}

func shapeOf(path string, v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return []string{path + " = {}"}
		}
		for k, e := range v {
			out = append(out, shapeOf(path+"/"+anonymous(k), e)...)
		}
	case []any:
		if len(v) == 0 {
			return []string{path + " = []"}
		}
		for _, e := range v {
			out = append(out, shapeOf(path+"[]", e)...)
		}
	case string:
		out = []string{path + " = text"}
		if exact.MatchString(path[strings.LastIndexAny(path, "/")+1:]) {
			out = []string{path + " = " + plainText(v)}
		}
	default:
		out = []string{fmt.Sprintf("%s = %T", path, v)}
		if b, ok := v.(bool); ok {
			out = []string{fmt.Sprintf("%s = %t", path, b)}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var filterText = regexp.MustCompile(`filters \[([^\]]*)\]`)

// plainText replaces ids and puts the parts of a filter in order: the server's
// order is that of a hash table.
func plainText(s string) string {
	s = anonymous(s)
	return filterText.ReplaceAllStringFunc(s, func(m string) string {
		parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(m, "filters ["), "]"), ",")
		slices.Sort(parts)
		return "filters [" + strings.Join(parts, ",") + "]"
	})
}
