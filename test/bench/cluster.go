package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"twokey/test/workload"
)

// cluster is where everything happens.
type cluster struct {
	*workload.Nodes
	urls []string
}

// prefix begins the name of every index of the benchmark.
const prefix = "bench-"

func newCluster(ctx context.Context, urls []string) (*cluster, error) {
	c := &cluster{workload.Dial(urls), urls}
	return c, c.clear(ctx)
}

// names lists the indices whose names begin with start.
func (c *cluster) names(ctx context.Context, start string) ([]string, error) {
	var rows []struct {
		Index string `json:"index"`
	}
	if err := c.Read(ctx, http.MethodGet, "/_cat/indices/"+start+"*?format=json&h=index&expand_wildcards=all", nil, &rows); err != nil {
		return nil, err
	}
	var names []string
	for _, r := range rows {
		names = append(names, r.Index)
	}
	return names, nil
}

// remove deletes the indices whose names begin with start.
func (c *cluster) remove(ctx context.Context, start string) error {
	names, err := c.names(ctx, start)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(names, 50) {
		if err := c.Read(ctx, http.MethodDelete, "/"+strings.Join(some, ",")+"?ignore_unavailable=true", nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) clear(ctx context.Context) error { return c.remove(ctx, prefix) }

// calm is how long the cluster may take to come to rest. It has other users' indices too
// where it is shared: then the wait may end without rest, and that is logged.
const calm = 90 * time.Second

// settle deletes targets, frees the source from what a contender left on it, and waits
// until the cluster moves, merges and runs nothing any more.
func (c *cluster) settle(ctx context.Context, source, targets string) error {
	if err := c.remove(ctx, targets); err != nil {
		return err
	}
	if err := c.free(ctx, source); err != nil {
		return err
	}
	quiet := 0
	for end := time.Now().Add(calm); quiet < 3; {
		busy, err := c.busy(ctx)
		if err != nil {
			return err
		}
		if quiet++; busy != "" {
			quiet = 0
		}
		if time.Now().After(end) {
			log.Printf("the cluster does not come to rest: %s", busy)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
	return nil
}

// free takes write blocks and aliases off the indices whose names begin with start.
func (c *cluster) free(ctx context.Context, start string) error {
	var indices map[string]struct {
		Aliases  map[string]any    `json:"aliases"`
		Settings map[string]string `json:"settings"`
	}
	if err := c.Read(ctx, http.MethodGet, "/"+start+"*?flat_settings=true&features=aliases,settings", nil, &indices); err != nil {
		return err
	}
	for name, x := range indices {
		for alias := range x.Aliases {
			if err := c.Read(ctx, http.MethodDelete, "/"+name+"/_alias/"+alias, nil, nil); err != nil {
				return err
			}
		}
		if x.Settings["index.blocks.write"] != "" {
			if err := c.Read(ctx, http.MethodPut, "/"+name+"/_settings", []byte(`{"index.blocks.write":null}`), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// busy says what the cluster is at, or nothing.
func (c *cluster) busy(ctx context.Context) (string, error) {
	var health struct {
		Status       string `json:"status"`
		Pending      int    `json:"number_of_pending_tasks"`
		Relocating   int    `json:"relocating_shards"`
		Initializing int    `json:"initializing_shards"`
	}
	if err := c.Read(ctx, http.MethodGet, "/_cluster/health", nil, &health); err != nil {
		return "", err
	}
	var stats struct {
		Nodes map[string]struct {
			Indices struct {
				Merges struct {
					Current int `json:"current"`
				} `json:"merges"`
			} `json:"indices"`
		} `json:"nodes"`
	}
	if err := c.Read(ctx, http.MethodGet, "/_nodes/stats/indices/merge?filter_path=nodes.*.indices.merges.current", nil, &stats); err != nil {
		return "", err
	}
	merges := 0
	for _, n := range stats.Nodes {
		merges += n.Indices.Merges.Current
	}
	var tasks struct {
		Nodes map[string]struct {
			Tasks map[string]any `json:"tasks"`
		} `json:"nodes"`
	}
	if err := c.Read(ctx, http.MethodGet, "/_tasks?actions=*bulk*,*reindex*,*scroll*,*byquery*,*forcemerge*", nil, &tasks); err != nil {
		return "", err
	}
	running := 0
	for _, n := range tasks.Nodes {
		running += len(n.Tasks)
	}
	moving := health.Relocating + health.Initializing
	if health.Pending+moving+merges+running == 0 && health.Status != "red" {
		return "", nil
	}
	return fmt.Sprintf("%s, %d pending changes, %d shards moving, %d merges, %d tasks", health.Status, health.Pending, moving, merges, running), nil
}

// count refreshes an index and counts its documents.
func (c *cluster) count(ctx context.Context, index string) (int, error) {
	if err := c.Read(ctx, http.MethodPost, "/"+index+"/_refresh", nil, nil); err != nil {
		return 0, err
	}
	var answer struct {
		Count int `json:"count"`
	}
	err := c.Read(ctx, http.MethodGet, "/"+index+"/_count", nil, &answer)
	return answer.Count, err
}

// facts describes the machine, for the report.
func (c *cluster) facts(ctx context.Context, d elasticdump) string {
	var info struct {
		Nodes map[string]struct {
			Version string `json:"version"`
			JVM     struct {
				Version string `json:"version"`
				Mem     struct {
					Heap int64 `json:"heap_max_in_bytes"`
				} `json:"mem"`
			} `json:"jvm"`
		} `json:"nodes"`
	}
	var s strings.Builder
	fmt.Fprintf(&s, "## Where\n\n- %s, %d cores, %s; load average %s; the servers and all contenders share it\n", cpu(), runtime.NumCPU(), memory(), load())
	if err := c.Read(ctx, http.MethodGet, "/_nodes/jvm", nil, &info); err != nil {
		fmt.Fprintf(&s, "- the nodes did not say what they are: %v\n", err)
	}
	for _, n := range info.Nodes {
		fmt.Fprintf(&s, "- %d nodes of Elasticsearch %s, heap %d MB each, Java %s\n", len(info.Nodes), n.Version, n.JVM.Mem.Heap>>20, n.JVM.Version)
		break
	}
	fmt.Fprintf(&s, "- elasticdump %s on Node %s; %s\n", elasticdumpVersion, d.node, runtime.Version())
	return s.String()
}

// line returns what stands after the colon in the first line of a file with this name.
func line(file, name string) string {
	b, _ := os.ReadFile(file) // absent elsewhere than on Linux
	for l := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func cpu() string {
	if name := line("/proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOARCH
}

func memory() string {
	var kb int
	if _, err := fmt.Sscanf(line("/proc/meminfo", "MemTotal"), "%d kB", &kb); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%.0f GB of memory", float64(kb)/(1<<20))
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
