package indices

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"twokey/ops"
	"twokey/ops/elastic"
)

// sizes is what an index holds. Docs is -1 where nobody knows: closed.
type sizes struct {
	UUID   string
	Docs   int64
	Bytes  int64 // with replicas
	Health string
}

// sizesOf reads them for indices that are there. Nested documents count too.
func (s Site) sizesOf(ctx context.Context, names []string) (map[string]sizes, error) {
	all := map[string]sizes{}
	for part := range elastic.InURLs(names) {
		var rows []struct {
			Index  string  `json:"index"`
			UUID   string  `json:"uuid"`
			Health string  `json:"health"`
			Docs   *string `json:"docs.count"`
			Bytes  *string `json:"store.size"`
		}
		err := s.Get(ctx, "/_cat/indices/"+part, elastic.Query("h", "index,uuid,health,docs.count,store.size", "bytes", "b",
			"format", "json", "expand_wildcards", "all", "master_timeout", "5s"), &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			all[r.Index] = sizes{r.UUID, amount(r.Docs), amount(r.Bytes), r.Health}
		}
	}
	return all, nil
}

// amount reads a number of the cat API; absent or unreadable is -1.
func amount(text *string) int64 {
	if text == nil {
		return -1
	}
	n, err := strconv.ParseInt(*text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (z sizes) text() string {
	if z.Docs < 0 {
		return "number of documents unknown (closed)"
	}
	return fmt.Sprintf("%s, %s", documents(z.Docs), elastic.Bytes(max(z.Bytes, 0)))
}

// reindexTask is a running _reindex.
type reindexTask struct {
	From, To []string
	text     string
}

// A source on another cluster stands before, as [scheme=… host=…].
var reindexText = regexp.MustCompile(`^reindex from (\[scheme=[^\]]*\])?\[([^\]]*)\] to \[([^\]]*)\]`)

// reindexTasks reads all of them. That a node did not answer is an error.
func (s Site) reindexTasks(ctx context.Context) ([]reindexTask, error) {
	var answer struct {
		Nodes map[string]struct {
			Tasks map[string]struct {
				Text string `json:"description"`
			} `json:"tasks"`
		} `json:"nodes"`
		Failures []any `json:"node_failures"`
	}
	err := s.Get(ctx, "/_tasks", elastic.Query("actions", "indices:data/write/reindex", "detailed", "true",
		"filter_path", "nodes.*.tasks.*.description,node_failures"), &answer)
	if err != nil {
		return nil, err
	}
	if len(answer.Failures) > 0 {
		return nil, &ops.UserError{
			What: fmt.Sprintf("%s of %s did not say what they are doing, so whether an index is being copied is unknown.", elastic.Plural(int64(len(answer.Failures)), "node"), s.Environment),
			Next: "Try again.",
		}
	}
	var tasks []reindexTask
	for _, n := range answer.Nodes {
		for _, t := range n.Tasks {
			if m := reindexText.FindStringSubmatch(t.Text); m != nil {
				task := reindexTask{To: strings.Split(m[3], ", "), text: t.Text}
				if m[1] == "" {
					task.From = strings.Split(m[2], ", ")
				}
				tasks = append(tasks, task)
			}
		}
	}
	return tasks, nil
}

// uses reports whether one of a task's names or patterns stands for the index.
func (t reindexTask) uses(names []string, x listed) bool {
	for _, n := range names {
		for _, is := range append([]string{x.Name}, x.Aliases...) {
			if elastic.Glob(n, is) {
				return true
			}
		}
	}
	return false
}
