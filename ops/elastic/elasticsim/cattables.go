package elasticsim

import (
	"math"
	"strconv"
	"time"
)

func catNodes(r *request) answer {
	c := r.cluster
	t := table{columns: []column{
		{name: "id", aliases: "nodeId", hidden: true}, {name: "pid", aliases: "p", hidden: true, right: true},
		{name: "ip", aliases: "i"}, {name: "port", aliases: "po", hidden: true, right: true},
		{name: "http_address", aliases: "http", hidden: true}, {name: "version", aliases: "v", hidden: true},
		{name: "disk.total", aliases: "dt diskTotal", hidden: true, right: true}, {name: "disk.used", aliases: "du diskUsed", hidden: true, right: true},
		{name: "disk.avail", aliases: "d da disk diskAvail", hidden: true, right: true}, {name: "disk.used_percent", aliases: "dup diskUsedPercent", hidden: true, right: true},
		{name: "heap.percent", aliases: "hp heapPercent", right: true}, {name: "ram.percent", aliases: "rp ramPercent", right: true},
		{name: "cpu", right: true}, {name: "load_1m", aliases: "l", right: true}, {name: "load_5m", aliases: "l", right: true}, {name: "load_15m", aliases: "l", right: true},
		{name: "uptime", aliases: "u", hidden: true, right: true},
		{name: "node.role", aliases: "r role nodeRole"}, {name: "master", aliases: "m"}, {name: "name", aliases: "n"},
	}}
	for _, n := range c.nodes {
		if !n.alive {
			continue
		}
		id, mark := n.id[:4], "-"
		if r.flag("full_id") {
			id = n.id
		}
		if n == c.master {
			mark = "*"
		}
		load := strconv.FormatFloat(float64(c.load(n))/20, 'f', 2, 64)
		t.rows = append(t.rows, []any{id, 100 + n.number, n.IP, 9299 + n.number, n.http(), n.Version,
			size(n.DiskBytes), size(n.used()), size(n.free()), strconv.FormatFloat(100*float64(n.used())/float64(n.DiskBytes), 'f', 2, 64),
			40, 60, c.load(n), load, load, load, took(r.now.Sub(n.started)), n.letters(), mark, n.Name})
	}
	return t.answer(r)
}

// catAllocation has a row per data node and one for all unassigned copies. Like the
// server's, that last row comes whatever node was asked for.
func catAllocation(r *request) answer {
	c := r.cluster
	t := table{columns: []column{
		{name: "shards", aliases: "s", right: true}, {name: "shards.undesired", right: true}, {name: "write_load.forecast", aliases: "wlf writeLoadForecast", right: true},
		{name: "disk.indices.forecast", aliases: "dif diskIndicesForecast", right: true}, {name: "disk.indices", aliases: "di diskIndices", right: true},
		{name: "disk.used", aliases: "du diskUsed", right: true}, {name: "disk.avail", aliases: "da diskAvail", right: true},
		{name: "disk.total", aliases: "dt diskTotal", right: true}, {name: "disk.percent", aliases: "dp diskPercent", right: true},
		{name: "host", aliases: "h"}, {name: "ip"}, {name: "node", aliases: "n"}, {name: "node.role", aliases: "r role nodeRole"},
	}}
	for _, n := range c.resolve(r.path["nodes"], r.local) {
		if !n.data() {
			continue
		}
		arrived := n.bytes
		for _, s := range n.incoming {
			arrived += s.rec.bytesAt(r.now)
		}
		used := n.OtherBytes + arrived
		t.rows = append(t.rows, []any{n.held(), len(n.moves), "0.0", size(n.bytes), size(arrived), size(used), size(n.DiskBytes - used), size(n.DiskBytes),
			int(math.Floor(100 * float64(used) / float64(n.DiskBytes))), n.IP, n.IP, n.Name, n.letters()})
	}
	if k := len(c.unassigned); k > 0 {
		t.rows = append(t.rows, []any{k, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, "UNASSIGNED", nil})
	}
	return t.answer(r)
}

func catShards(r *request) answer {
	indices, f := r.indices(r.path["names"])
	if f != nil {
		return f.answer()
	}
	t := table{columns: []column{
		{name: "index", aliases: "i idx"}, {name: "shard", aliases: "s sh", right: true}, {name: "prirep", aliases: "p pr primaryOrReplica"},
		{name: "state", aliases: "st"}, {name: "docs", aliases: "d dc", right: true}, {name: "store", aliases: "sto", right: true},
		{name: "dataset", right: true}, {name: "ip"}, {name: "id", hidden: true}, {name: "node", aliases: "n"},
		{name: "unassigned.reason", aliases: "ur", hidden: true}, {name: "unassigned.at", aliases: "ua", hidden: true},
		{name: "unassigned.for", aliases: "uf", hidden: true, right: true}, {name: "unassigned.details", aliases: "ud", hidden: true},
		{name: "recoverysource.type", aliases: "rs", hidden: true},
	}}
	for _, ix := range indices {
		for _, group := range ix.groups {
			for _, s := range group {
				ix.refreshDue(r.now)
				t.rows = append(t.rows, shardRow(s, r.now))
			}
		}
	}
	return t.answer(r)
}

func shardRow(s *shard, now time.Time) []any {
	row := []any{s.index.name, s.number, s.kind(), s.state.String(), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
	if s.node != nil {
		row[7], row[8], row[9] = s.node.IP, s.node.id, s.node.Name
		if s.target != nil {
			row[9] = s.node.Name + " -> " + s.target.IP + " " + s.target.id + " " + s.target.Name
		}
	}
	if s.active() {
		row[4], row[5], row[6] = int(s.index.docCount(s.number)), size(s.size()), size(s.size())
	}
	if s.state == unassigned || s.state == initializing && s.reason != "" {
		row[10], row[11], row[12] = s.reason, stamp(s.since), took(now.Sub(s.since))
		if s.details != "" {
			row[13] = s.details
		}
	}
	if !s.active() {
		row[14] = "peer"
		if s.primary {
			row[14] = "existing_store"
		}
	}
	return row
}

func catIndices(r *request) answer {
	c := r.cluster
	indices, f := r.indices(r.path["names"])
	if f != nil {
		return f.answer()
	}
	t := table{columns: []column{
		{name: "health", aliases: "h"}, {name: "status", aliases: "s"}, {name: "index", aliases: "i idx"}, {name: "uuid", aliases: "id"},
		{name: "pri", aliases: "p shards.primary shardsPrimary", right: true}, {name: "rep", aliases: "r shards.replica shardsReplica", right: true},
		{name: "docs.count", aliases: "dc docsCount", right: true}, {name: "docs.deleted", aliases: "dd docsDeleted", right: true},
		{name: "creation.date", aliases: "cd", hidden: true, right: true}, {name: "creation.date.string", aliases: "cds", hidden: true},
		{name: "store.size", aliases: "ss storeSize", right: true}, {name: "pri.store.size", right: true}, {name: "dataset.size", right: true},
	}}
	for _, ix := range indices {
		n := c.count([]*index{ix})
		if want := r.query.Get("health"); want != "" && want != n.status() {
			continue
		}
		ix.refreshDue(r.now)
		var primaries, all, docs int64
		for number, group := range ix.groups {
			for _, s := range group {
				if !s.active() || !s.node.alive {
					continue
				}
				if all += s.size(); s.primary {
					primaries += s.size()
					docs += ix.docCount(number)
				}
			}
		}
		row := []any{n.status(), "open", ix.name, ix.uuid, len(ix.groups), ix.replicas, int(docs), 0,
			int(ix.created.UnixMilli()), stamp(ix.created), size(all), size(primaries), size(primaries)}
		if n.active() == 0 {
			row[6], row[7], row[10], row[11], row[12] = nil, nil, nil, nil, nil
		}
		t.rows = append(t.rows, row)
	}
	return t.answer(r)
}

// catRecovery lists running recoveries, and without active_only the latest finished
// ones too.
func catRecovery(r *request) answer {
	c := r.cluster
	names := r.path["names"]
	if names == "" {
		names = r.query.Get("index")
	}
	indices, f := c.find(names)
	if f != nil {
		return f.answer()
	}
	wanted := map[*index]bool{}
	if names != "" {
		for _, ix := range indices {
			wanted[ix] = true
		}
	}
	t := table{columns: []column{
		{name: "index", aliases: "i idx"}, {name: "shard", aliases: "s sh"}, {name: "start_time", aliases: "start", hidden: true},
		{name: "start_time_millis", aliases: "start_millis", hidden: true}, {name: "time", aliases: "t ti"},
		{name: "type", aliases: "ty"}, {name: "stage", aliases: "st"}, {name: "source_host", aliases: "shost"}, {name: "source_node", aliases: "snode"},
		{name: "target_host", aliases: "thost"}, {name: "target_node", aliases: "tnode"}, {name: "repository", aliases: "rep"}, {name: "snapshot", aliases: "snap"},
		{name: "files", aliases: "f"}, {name: "files_recovered", aliases: "fr"}, {name: "files_percent", aliases: "fp"}, {name: "files_total", aliases: "tf"},
		{name: "bytes", aliases: "b"}, {name: "bytes_recovered", aliases: "br"}, {name: "bytes_percent", aliases: "bp"}, {name: "bytes_total", aliases: "tb"},
		{name: "translog_ops", aliases: "to"}, {name: "translog_ops_recovered", aliases: "tor"}, {name: "translog_ops_percent", aliases: "top"},
	}}
	row := func(rec *recovery, stage string, now time.Time, elapsed time.Duration) {
		s := rec.shard
		if names != "" && !wanted[s.index] {
			return
		}
		kind, host, node := "existing_store", any("n/a"), any("n/a")
		if rec.source != nil {
			kind, host, node = "peer", rec.source.IP, rec.source.Name
		}
		done, percent := rec.bytesAt(now), "100.0%"
		if rec.total > 0 {
			percent = strconv.FormatFloat(math.Floor(1000*float64(done)/float64(rec.total))/10, 'f', 1, 64) + "%"
		}
		t.rows = append(t.rows, []any{s.index.name, s.number, stamp(rec.begun), int(rec.begun.UnixMilli()), took(elapsed), kind, stage, host, node,
			rec.target.IP, rec.target.Name, "n/a", "n/a", 10, 10, "100.0%", 10,
			size(rec.total), size(done), percent, size(rec.total), 0, 0, "100.0%"})
	}
	if !r.flag("active_only") {
		for i := range c.finished {
			row(&c.finished[i].recovery, "done", r.now, c.finished[i].took)
		}
	}
	for _, rec := range c.recoveries {
		row(rec, "index", r.now, r.now.Sub(rec.begun))
	}
	return t.answer(r)
}
