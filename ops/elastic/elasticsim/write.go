package elasticsim

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// operation is one write of a document.
type operation struct {
	kind     string // index, create, update, delete
	name     string // the index or alias that was named
	id       string
	routing  string
	source   []byte // of an update: its body
	versions string // version_type; empty: internal
	version  int64  // of an external one
	hasVer   bool
	ifSeq    int64 // -1: no condition
	ifTerm   int64
	alias    bool     // require_alias
	refused  *failure // by an ingest pipeline

	from  *node // that sends it to the primary; nil: that one itself
	index *index
	shard int
}

// outcome is what became of an operation.
type outcome struct {
	version, seq, term int64
	result             string // created, updated, deleted, not_found, noop
	copies, done       int
	failure            *failure
}

func (o outcome) status() int {
	switch {
	case o.failure != nil:
		return o.failure.status
	case o.result == "created":
		return http.StatusCreated
	case o.result == "not_found":
		return http.StatusNotFound
	}
	return http.StatusOK
}

// check refuses what the server refuses before looking at any index.
func (op *operation) check() string {
	switch {
	case op.kind == "create" && op.versions != "" && op.versions != "internal":
		return "create operations only support internal versioning. use index instead"
	case op.ifSeq >= 0 && op.ifTerm == 0:
		return "ifSeqNo is set, but primary term is [0]"
	case op.ifSeq < 0 && op.ifTerm > 0:
		return "ifSeqNo is unassigned, but primary term is [" + strconv.FormatInt(op.ifTerm, 10) + "]"
	case op.hasVer && (op.versions == "" || op.versions == "internal"):
		return "internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and `if_primary_term` instead"
	case !op.hasVer && (op.versions == "external" || op.versions == "external_gte"):
		return "illegal version value [-3] for version type [" + map[string]string{"external": "EXTERNAL", "external_gte": "EXTERNAL_GTE"}[op.versions] + "]"
	case op.kind == "update" && op.hasVer:
		return "internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and `if_primary_term` instead"
	}
	return ""
}

// resolve finds the operation's index and shard, making the index if it may.
func (c *Cluster) resolveWrite(op *operation, now time.Time) *failure {
	if op.id == "" && op.kind != "index" && op.kind != "create" {
		return invalidFailure("id is missing")
	}
	if op.id == emptyID {
		op.id = ""
		return illegalFailure("if _id is specified it must not be empty")
	}
	ix, a, f := c.writeIndex(op.name)
	if f != nil {
		return f
	}
	if op.alias && a == nil {
		return notAnAlias(op.name)
	}
	if ix == nil {
		if op.kind == "delete" && !(op.versions == "external" || op.versions == "external_gte") {
			return noSuchIndex(op.name)
		}
		if ix, f = c.autoCreate(op.name, now); f != nil {
			return f
		}
	}
	if a != nil && a.indexRouting != "" {
		if op.routing != "" && op.routing != a.indexRouting {
			return illegalFailure("Alias [%s] has index routing associated with it [%s], and was provided with routing value [%s], rejecting operation", op.name, a.indexRouting, op.routing)
		}
		op.routing = a.indexRouting
	}
	if ix.mapping.routing && op.routing == "" {
		return routingMissing(ix, op.id)
	}
	if f := ix.writeBlocked(); f != nil && !(op.kind == "delete" && f.status == http.StatusTooManyRequests) {
		return f
	}
	if op.id == "" {
		op.id = c.anID()
	}
	op.index, op.shard = ix, ix.shardOf(op.id, op.routing)
	return nil
}

func routingMissing(ix *index, id string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "routing_missing_exception", reason: "routing is required for [" + ix.name + "]/[" + id + "]",
		more: object{{"index_uuid", "_na_"}, {"index", ix.name}}}
}

func (op *operation) shardFailure(status int, kind, reason string) *failure {
	return &failure{status: status, kind: kind, reason: reason,
		more: object{{"index_uuid", op.index.uuid}, {"shard", strconv.Itoa(op.shard)}, {"index", op.index.name}}}
}

func (op *operation) conflict(format string, args ...any) outcome {
	return outcome{failure: op.shardFailure(http.StatusConflict, "version_conflict_engine_exception", "["+op.id+"]: version conflict, "+fmt.Sprintf(format, args...))}
}

// write carries out an operation on its shard, which serves.
func (c *Cluster) write(op *operation, now time.Time) outcome {
	ix, s := op.index, op.index.stores[op.shard]
	ix.refreshDue(now)
	e := s.lookup(op.id, now, ix.gc())
	exists := e != nil && e.now != nil
	if op.kind == "update" {
		return c.merge(op, e, now)
	}
	version := int64(1)
	if e != nil {
		version = e.version + 1
	}
	switch {
	case op.ifSeq >= 0 && !exists:
		return op.conflict("required seqNo [%d], primary term [%d]. but no document was found", op.ifSeq, op.ifTerm)
	case op.ifSeq >= 0 && (e.seq != op.ifSeq || e.term != op.ifTerm):
		return op.conflict("required seqNo [%d], primary term [%d]. current document has seqNo [%d] and primary term [%d]", op.ifSeq, op.ifTerm, e.seq, e.term)
	case op.kind == "create" && exists:
		return op.conflict("document already exists (current version [%d])", e.version)
	case op.versions == "external" && e != nil && e.version >= op.version:
		return op.conflict("current version [%d] is higher or equal to the one provided [%d]", e.version, op.version)
	case op.versions == "external_gte" && e != nil && e.version > op.version:
		return op.conflict("current version [%d] is higher than the one provided [%d]", e.version, op.version)
	case op.versions == "external" || op.versions == "external_gte":
		version = op.version
	}
	out := outcome{version: version, term: s.term, result: "created"}
	var next *image
	if op.kind == "delete" {
		out.result = "deleted"
		if !exists {
			out.result = "not_found"
		}
	} else {
		m, f := parseDocument(ix.mapping, op.id, op.source)
		if f != nil {
			if p := ix.groups[op.shard][0].leader(); op.from != nil && p.node != op.from {
				f.more = fromAfar(f.more)
			}
			return outcome{failure: f}
		}
		if m != ix.mapping {
			ix.mapping = m
			c.version++
		}
		if exists {
			out.result = "updated"
		}
		next = &image{id: op.id, routing: op.routing, version: version, term: s.term}
		next.source = op.source
	}
	out.seq = s.next
	s.next++
	if e == nil {
		e = &entry{id: op.id}
		if old := s.docs[op.id]; old != nil { // forgotten, but searches may still see it
			e = old
		}
		s.docs[op.id] = e
	}
	var by int64
	if exists {
		by -= e.now.size()
		s.live--
	}
	e.now, e.version, e.seq, e.term = next, version, out.seq, s.term
	if next != nil {
		next.seq = out.seq
		by += next.size()
		s.live++
	} else {
		e.deleted = now
		s.bury(e, now, ix.gc())
	}
	s.used = true
	s.changed(e)
	if ix.stale.IsZero() {
		ix.stale = now
	}
	ix.grow(op.shard, by)
	out.copies, out.done = ix.replicas+1, 0
	for _, copy := range ix.groups[op.shard] {
		if copy.active() {
			out.done++
		}
	}
	ix.indexed(op.kind)
	if p := ix.groups[op.shard][0].leader(); p.node != nil {
		p.node.written++
	}
	return out
}

// merge carries out an update: it lays a partial document over the one that is there.
func (c *Cluster) merge(op *operation, e *entry, now time.Time) outcome {
	body, err := parseObject(op.source)
	if err != nil {
		return outcome{failure: &failure{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: err.Error()}}
	}
	part, hasDoc := body.get("doc").(object)
	upsert, hasUpsert := body.get("upsert").(object)
	if isTrue(body.get("doc_as_upsert")) {
		upsert, hasUpsert = part, true
	}
	next := *op
	if e == nil || e.now == nil {
		if !hasUpsert {
			return outcome{failure: op.shardFailure(http.StatusNotFound, "document_missing_exception", "["+op.id+"]: document missing")}
		}
		next.kind, next.source = "create", encode(upsert, false)
		return c.write(&next, now)
	}
	if op.ifSeq >= 0 && (e.seq != op.ifSeq || e.term != op.ifTerm) {
		return op.conflict("required seqNo [%d], primary term [%d]. current document has seqNo [%d] and primary term [%d]", op.ifSeq, op.ifTerm, e.seq, e.term)
	}
	if !hasDoc {
		return outcome{failure: &failure{status: http.StatusBadRequest, kind: "action_request_validation_exception", reason: "Validation Failed: 1: script or doc is missing;"}}
	}
	old, err := parseObject(e.now.source)
	if err != nil {
		panic(err) // it was checked when written
	}
	merged := encode(mergeObjects(old, part), false)
	if before, err := parseObject(e.now.source); err == nil && bytes.Equal(encode(before, false), merged) && body.get("detect_noop") != false {
		return outcome{version: e.version, seq: e.seq, term: e.term, result: "noop"}
	}
	next.kind, next.source, next.routing = "index", merged, e.now.routing
	return c.write(&next, now)
}

func mergeObjects(old, part object) object {
	for _, m := range part {
		inner, ok := m.value.(object)
		if was, both := old.get(m.name).(object); ok && both {
			old = old.with(m.name, mergeObjects(was, inner))
			continue
		}
		old = old.with(m.name, m.value)
	}
	return old
}

// unavailable is the answer to writes on a shard without an active primary; what
// describes them.
func unavailable(ix *index, shard int, limit time.Duration, what string) *failure {
	return &failure{status: http.StatusServiceUnavailable, kind: "unavailable_shards_exception",
		reason: fmt.Sprintf("[%s][%d] primary shard is not active Timeout: [%s], request: [BulkShardRequest [[%s][%d]] containing [%s]", ix.name, shard, formatTook(limit), ix.name, shard, what)}
}

func (op *operation) describe() string {
	if op.kind == "delete" {
		return fmt.Sprintf("delete {[%s][%s]}]", op.index.name, op.id)
	}
	return fmt.Sprintf("index {[%s][%s], source[%s]}]", op.index.name, op.id, op.source)
}

// serving reports whether the shard has an active primary.
func (ix *index) serving(shard int) bool {
	for _, s := range ix.groups[shard] {
		if s.primary {
			return s.active()
		}
	}
	return false
}
