//go:build integration

package indices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twokey/ops/elastic"
)

// yard is a real cluster named by TWOKEY_TEST_ES: three nodes n1, n2, n3 in the zones a, b
// and spot, nothing of worth in it. Indices of these tests begin with plain-.
type yard struct {
	Site
	t    *testing.T
	url  string
	lose *atomic.Int32 // how many replies to changes are to be lost
}

func realYard(t *testing.T) yard {
	t.Helper()
	urls := strings.Split(os.Getenv("TWOKEY_TEST_ES"), ",")
	if urls[0] == "" {
		t.Fatal("TWOKEY_TEST_ES names no cluster")
	}
	lose := &atomic.Int32{}
	client, err := elastic.Connect(elastic.Settings{URLs: urls, Transport: losing{http.DefaultTransport, lose}})
	if err != nil {
		t.Fatal(err)
	}
	y := yard{Site{Cluster: elastic.Cluster{Environment: "staging", Client: client}}, t, urls[0], lose}
	y.wipe()
	t.Cleanup(y.wipe)
	return y
}

// losing drops replies to changes after the server has carried them out.
type losing struct {
	http.RoundTripper
	left *atomic.Int32
}

func (l losing) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.RoundTripper.RoundTrip(r)
	if err == nil && r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/explain") && l.left.Add(-1) >= 0 {
		res.Body.Close()
		return nil, errors.New("the reply was lost")
	}
	return res, err
}

func (y yard) sites() map[string]Site { return map[string]Site{"staging": y.Site} }

func (y yard) wipe() {
	var rows []struct{ Index string }
	if err := json.Unmarshal(y.do("GET", "/_cat/indices/plain-*?format=json&h=index&expand_wildcards=all", ""), &rows); err != nil {
		y.t.Fatal(err)
	}
	for _, r := range rows {
		y.do("DELETE", "/"+r.Index, "")
	}
}

// do sends a request by hand, as an operator with curl would.
func (y yard) do(method, path, body string) []byte {
	y.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, y.url+path, strings.NewReader(body))
	if err != nil {
		y.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		y.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode > 299 {
		y.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, b, err)
	}
	return b
}

// fill puts n documents into an index.
func (y yard) fill(index string, n int) {
	y.t.Helper()
	if n == 0 {
		return
	}
	var b bytes.Buffer
	for i := range n {
		b.WriteString("{\"index\":{}}\n{\"n\":" + strings.Repeat("1", 1+i%9) + ",\"kind\":\"k\"}\n")
	}
	y.do("POST", "/"+index+"/_bulk?refresh=true", b.String())
}

// green waits until indices are green and nothing of them moves, and no other is red.
func (y yard) green(indices string) {
	y.t.Helper()
	y.do("GET", "/_cluster/health/"+indices+"?wait_for_status=green&wait_for_no_relocating_shards=true&timeout=60s&expand_wildcards=all", "")
	y.do("GET", "/_cluster/health?wait_for_status=yellow&timeout=60s", "")
}

// quick bounds the waits of runs on a real cluster, whose clock cannot be turned.
const quick = 200 * time.Millisecond

// status is the answer's status to a GET.
func (y yard) status(path string) int {
	y.t.Helper()
	res, err := http.Get(y.url + path)
	if err != nil {
		y.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
