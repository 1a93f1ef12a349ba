package elasticsim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// column is one of a _cat table's.
type column struct {
	name    string
	aliases string // separated by blanks
	hidden  bool   // shown only when asked for with h
	right   bool   // aligned to the right in text
}

// cell is a value of a _cat table: nil, a string, an int, a size or a duration.
type (
	size int64
	took time.Duration
)

// table is a _cat answer. Rows are as long as columns.
type table struct {
	columns []column
	rows    [][]any
}

// shown is a column picked for the answer, under the name it was asked by.
type shown struct {
	at   int
	name string
}

// answer renders the table: format=json or the Accept header decide.
func (t *table) answer(r *request) answer {
	if r.flag("help") {
		var b strings.Builder
		for _, c := range t.columns {
			b.WriteString(c.name + " | " + strings.ReplaceAll(c.aliases, " ", ",") + " | \n")
		}
		return answer{text: b.String()}
	}
	t.sort(r.query.Get("s"))
	picked := t.pick(r.query.Get("h"))
	asJSON := r.query.Get("format") == "json" || !r.query.Has("format") && strings.Contains(r.Header.Get("Accept"), jsonType)
	if asJSON {
		rows := list{}
		for _, row := range t.rows {
			o := make(object, len(picked))
			for i, p := range picked {
				o[i] = member{p.name, nil}
				if row[p.at] != nil {
					o[i].value = cellText(row[p.at], r)
				}
			}
			rows = append(rows, o)
		}
		return answer{value: rows}
	}
	return answer{text: t.text(r, picked)}
}

// text pads every column to its widest cell, as the server does.
func (t *table) text(r *request, picked []shown) string {
	var lines [][]string
	if r.flag("v") {
		head := make([]string, len(picked))
		for i, p := range picked {
			head[i] = p.name
		}
		lines = append(lines, head)
	}
	for _, row := range t.rows {
		line := make([]string, len(picked))
		for i, p := range picked {
			line[i] = cellText(row[p.at], r)
		}
		lines = append(lines, line)
	}
	width := make([]int, len(picked))
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		for i, cell := range line {
			pad := strings.Repeat(" ", width[i]-len(cell))
			last := i == len(line)-1
			switch {
			case t.columns[picked[i].at].right:
				b.WriteString(pad + cell)
			case last:
				b.WriteString(cell)
			default:
				b.WriteString(cell + pad)
			}
			if !last {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// pick chooses columns by h: names, aliases and patterns; unknown ones are left out.
func (t *table) pick(h string) []shown {
	var out []shown
	if h == "" {
		for i, c := range t.columns {
			if !c.hidden {
				out = append(out, shown{i, c.name})
			}
		}
		return out
	}
	for want := range strings.SplitSeq(h, ",") {
		for i, c := range t.columns {
			switch {
			case strings.Contains(want, "*"):
				if wildcard(want, c.name) {
					out = append(out, shown{i, c.name})
				}
			case want == c.name || slices.Contains(strings.Fields(c.aliases), want):
				out = append(out, shown{i, want})
			}
		}
	}
	return out
}

// sort orders rows by "column:desc,column".
func (t *table) sort(by string) {
	if by == "" {
		return
	}
	type key struct {
		at   int
		sign int
	}
	var keys []key
	for part := range strings.SplitSeq(by, ",") {
		name, order, _ := strings.Cut(part, ":")
		for i, c := range t.columns {
			if name == c.name || slices.Contains(strings.Fields(c.aliases), name) {
				k := key{i, 1}
				if order == "desc" {
					k.sign = -1
				}
				keys = append(keys, k)
			}
		}
	}
	slices.SortStableFunc(t.rows, func(a, b []any) int {
		for _, k := range keys {
			if d := compareCells(a[k.at], b[k.at]); d != 0 {
				return k.sign * d
			}
		}
		return 0
	})
}

func compareCells(a, b any) int {
	x, xok := cellNumber(a)
	y, yok := cellNumber(b)
	if xok && yok {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(cellText(a, nil), cellText(b, nil))
}

func cellNumber(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case size:
		return int64(v), true
	case took:
		return int64(v), true
	}
	return 0, false
}

func cellText(v any, r *request) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case size:
		unit := ""
		if r != nil {
			unit = r.query.Get("bytes")
		}
		for _, u := range byteUnits {
			if unit == u.suffix {
				return strconv.FormatInt(int64(v)/u.factor, 10)
			}
		}
		return formatBytes(int64(v))
	case took:
		return formatTook(time.Duration(v))
	}
	panic("elasticsim: no text for this cell")
}

// formatTook writes a duration as the server does: one decimal in its largest unit.
func formatTook(d time.Duration) string {
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d >= u.unit {
			s := strconv.FormatFloat(float64(d*10/u.unit)/10, 'f', -1, 64)
			return s + u.suffix
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

func catMaster(r *request) answer {
	m := r.cluster.master
	t := table{columns: []column{{name: "id"}, {name: "host", aliases: "h"}, {name: "ip"}, {name: "node", aliases: "n"}},
		rows: [][]any{{m.id, m.IP, m.IP, m.Name}}}
	return t.answer(r)
}

func catHealth(r *request) answer {
	c := r.cluster
	n := &c.counts
	t := table{columns: []column{
		{name: "epoch", aliases: "t time", right: true}, {name: "timestamp", aliases: "ts hms hhmmss"}, {name: "cluster", aliases: "cl"},
		{name: "status", aliases: "st"}, {name: "node.total", aliases: "nt nodeTotal", right: true}, {name: "node.data", aliases: "nd nodeData", right: true},
		{name: "shards", aliases: "t sh shards.total", right: true}, {name: "pri", aliases: "p shards.primary", right: true},
		{name: "relo", aliases: "r shards.relocating", right: true}, {name: "init", aliases: "i shards.initializing", right: true},
		{name: "unassign", aliases: "u shards.unassigned", right: true}, {name: "unassign.pri", aliases: "up", right: true},
		{name: "pending_tasks", aliases: "pt pendingTasks", right: true}, {name: "max_task_wait_time", aliases: "mtwt", right: true},
		{name: "active_shards_percent", aliases: "asp activeShardsPercent", right: true},
	}}
	t.rows = [][]any{{int(r.now.Unix()), r.now.UTC().Format(time.TimeOnly), c.opt.Name, n.status(), c.liveNodes(), c.liveDataNodes(),
		n.active(), n.activePrimary, n.byState[relocating], n.byState[initializing], n.byState[unassigned], n.unassignedPrimary, c.pending, "-",
		strconv.FormatFloat(float64(n.percent()), 'f', 1, 64) + "%"}}
	return t.answer(r)
}
