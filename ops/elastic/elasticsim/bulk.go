package elasticsim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const writeParams = "refresh routing timeout wait_for_active_shards pipeline require_alias require_data_stream _source _source_includes _source_excludes op_type version version_type if_seq_no if_primary_term list_executed_pipelines include_source_on_error"

func invalidFailure(reason string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "action_request_validation_exception", reason: "Validation Failed: 1: " + reason + ";"}
}

// bulk answers POST _bulk. One fault of its lines refuses it whole; a fault of a
// document or its index is that item's alone.
func bulk(r *request) answer {
	ops, f := parseBulk(r)
	if f != nil {
		return f.answer()
	}
	if f := r.checkRefresh(); f != nil {
		return f.answer()
	}
	for _, op := range ops {
		op.refused = r.cluster.ingest(r.query.Get("pipeline"), op)
	}
	began := r.now
	outcomes := r.cluster.writeAll(r, ops)
	errors := slices.ContainsFunc(outcomes, func(o outcome) bool { return o.failure != nil })
	forced := r.refreshed(ops)
	items := make(list, len(ops))
	for i, op := range ops {
		items[i] = lazy(func() any { return object{{op.kind, op.item(outcomes[i], forced)}} })
	}
	return answer{value: object{{"errors", errors}, {"took", time.Since(began).Milliseconds()}, {"items", items}}}
}

// item is what a bulk answer says of an operation.
func (op *operation) item(o outcome, forced bool) object {
	name := op.name
	if op.index != nil {
		name = op.index.name
	}
	if o.failure != nil {
		return object{{"_index", name}, {"_id", op.id}, {"status", o.failure.status}, {"error", o.failure.object()}}
	}
	return append(op.written(o, forced), member{"status", o.status()})
}

// written is the answer to an operation that took effect.
func (op *operation) written(o outcome, forced bool) object {
	out := object{{"_index", op.index.name}, {"_id", op.id}, {"_version", o.version}, {"result", o.result}}
	if forced && o.result != "noop" {
		out = append(out, member{"forced_refresh", true})
	}
	return append(out, member{"_shards", object{{"total", o.copies}, {"successful", o.done}, {"failed", 0}}},
		member{"_seq_no", o.seq}, member{"_primary_term", o.term})
}

// writeAll carries out operations in order. Those on a shard without an active
// primary wait for one, together, up to timeout.
func (c *Cluster) writeAll(r *request, ops []*operation) []outcome {
	outcomes := make([]outcome, len(ops))
	waiting := map[*index]map[int]int{}
	for i, op := range ops {
		op.from = r.local
		if outcomes[i].failure = op.refused; op.refused != nil {
			continue
		}
		if outcomes[i].failure = c.resolveWrite(op, r.now); outcomes[i].failure == nil && !op.index.serving(op.shard) {
			if waiting[op.index] == nil {
				waiting[op.index] = map[int]int{}
			}
			waiting[op.index][op.shard]++
		}
	}
	limit := r.timeout("timeout", time.Minute)
	if len(waiting) > 0 {
		c.await(r, limit, func() bool {
			for ix, shards := range waiting {
				for n := range shards {
					if c.indices[ix.name] == ix && !ix.serving(n) {
						return false
					}
				}
			}
			return true
		})
	}
	for i, op := range ops {
		switch {
		case outcomes[i].failure != nil:
		case c.indices[op.index.name] != op.index:
			outcomes[i].failure = noSuchIndex(op.index.name)
		case !op.index.serving(op.shard):
			n := waiting[op.index][op.shard]
			what := strconv.Itoa(n) + "] requests"
			if n == 1 {
				what = op.describe()
			}
			outcomes[i].failure = unavailable(op.index, op.shard, limit, what)
		default:
			if f := c.rejected(op); f != nil {
				outcomes[i].failure = f
				continue
			}
			outcomes[i] = c.write(op, r.now)
		}
	}
	return outcomes
}

// checkRefresh refuses an unknown refresh parameter.
func (r *request) checkRefresh() *failure {
	switch v := r.query.Get("refresh"); v {
	case "", "true", "false", "wait_for":
		return nil
	default:
		return illegalFailure("Unknown value for refresh: [%s].", v)
	}
}

// refreshed does what the refresh parameter asks for; true: it refreshed.
func (r *request) refreshed(ops []*operation) bool {
	mode := r.query.Get("refresh")
	if !r.query.Has("refresh") || mode == "false" {
		return false
	}
	touched := map[*index]bool{}
	for _, op := range ops {
		if op.index != nil {
			touched[op.index] = true
		}
	}
	for ix := range touched {
		if mode != "wait_for" {
			ix.refresh()
			continue
		}
		stale := ix.stale
		for !ix.stale.IsZero() && !ix.stale.After(stale) {
			left := time.Until(ix.stale.Add(ix.interval))
			if left > 0 && !r.cluster.await(r, left, func() bool { return ix.stale.IsZero() || ix.stale.After(stale) }) && r.Context().Err() != nil {
				break
			}
			ix.refreshDue(time.Now())
		}
	}
	return mode != "wait_for"
}

var bulkKeys = strings.Fields("_index _id routing op_type version version_type if_seq_no if_primary_term require_alias require_data_stream retry_on_conflict pipeline dynamic_templates _source list_executed_pipelines")

// parseBulk reads the lines of a bulk request.
func parseBulk(r *request) ([]*operation, *failure) {
	if len(r.body) == 0 {
		return nil, &failure{status: http.StatusBadRequest, kind: "parse_exception", reason: "request body is required"}
	}
	if r.body[len(r.body)-1] != '\n' {
		return nil, illegalFailure("The bulk request must be terminated by a newline [\\n]")
	}
	var ops []*operation
	var faults []string
	body, line := r.body, 0
	next := func() []byte {
		i := bytes.IndexByte(body, '\n')
		if i < 0 {
			return nil
		}
		l := body[:i]
		body = body[i+1:]
		line++
		return bytes.TrimSuffix(l, []byte{'\r'})
	}
	for len(body) > 0 {
		head := next()
		if len(bytes.TrimSpace(head)) == 0 {
			continue
		}
		op, f := parseAction(r, head, line)
		if f != nil {
			return nil, f
		}
		if op.kind != "delete" {
			source := next()
			if source == nil {
				return nil, illegalFailure("The bulk request must be terminated by a newline [\\n]")
			}
			op.source = bytes.Clone(source)
		}
		if op.name == "" {
			faults = append(faults, "index is missing")
		} else if why := op.check(); why != "" {
			faults = append(faults, why)
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return nil, invalidFailure("no requests added")
	}
	if len(faults) > 0 {
		return nil, validation(faults)
	}
	return ops, nil
}

// validation numbers faults as the server does.
func validation(faults []string) *failure {
	var b strings.Builder
	for i, f := range faults {
		b.WriteString(strconv.Itoa(i+1) + ": " + f + ";")
	}
	return &failure{status: http.StatusBadRequest, kind: "action_request_validation_exception", reason: "Validation Failed: " + b.String()}
}

// parseAction reads an action line.
func parseAction(r *request, head []byte, line int) (*operation, *failure) {
	op := &operation{name: r.path["index"], routing: r.query.Get("routing"), ifSeq: -1, alias: r.flag("require_alias")}
	var f *failure
	malformed := func(what string) *failure {
		return illegalFailure("Malformed action/metadata line [%d], expected %s", line, what)
	}
	i := skipSpace(head, 0)
	if i >= len(head) || head[i] != '{' {
		return nil, malformed("START_OBJECT but found [" + tokenName(head[min(i, len(head)-1)]) + "]")
	}
	end := eachMember(head, i, func(kind string, v, _ int) bool {
		if op.kind != "" {
			f = malformed("END_OBJECT but found [FIELD_NAME]")
			return false
		}
		if !slices.Contains([]string{"index", "create", "update", "delete"}, kind) {
			f = malformed("field [create], [delete], [index] or [update] but found [" + kind + "]")
			return false
		}
		op.kind = kind
		if v >= len(head) || head[v] != '{' {
			f = malformed("START_OBJECT or END_OBJECT but found [VALUE_STRING]")
			return false
		}
		eachMember(head, v, func(key string, at, _ int) bool {
			stop := skipValue(head, at)
			if stop < 0 {
				return false
			}
			f = op.set(key, head[at:stop], line)
			return f == nil
		})
		return f == nil
	})
	if f == nil && (end < 0 || op.kind == "") {
		f = malformed("FIELD_NAME but found [END_OBJECT]")
	}
	return op, f
}

// set takes over one member of an action line.
func (op *operation) set(key string, raw []byte, line int) *failure {
	text := string(raw)
	if raw[0] == '"' {
		text = unquote(raw)
	}
	if text == "null" && raw[0] == 'n' {
		return nil
	}
	number := func() (n int64) {
		_ = json.Unmarshal([]byte(text), &n) // not a number: 0, that fails the check of the operation
		return n
	}
	switch key {
	case "_index":
		op.name = text
	case "_id":
		if op.id = text; text == "" && op.kind != "update" && op.kind != "delete" {
			op.id = emptyID
		}
	case "routing":
		op.routing = text
	case "version":
		op.version, op.hasVer = number(), true
	case "version_type":
		op.versions = strings.ToLower(text)
		if !slices.Contains([]string{"internal", "external", "external_gt", "external_gte"}, op.versions) {
			return illegalFailure("No version type match [%s]", text)
		}
		op.versions = strings.Replace(op.versions, "external_gt", "external", 1)
		if text == "external_gte" {
			op.versions = text
		}
	case "if_seq_no":
		op.ifSeq = number()
	case "if_primary_term":
		op.ifTerm = number()
	case "require_alias":
		op.alias = text == "true"
	case "op_type":
		if op.kind == "index" && text == "create" {
			op.kind = "create"
		}
	case "pipeline":
		return illegalFailure("pipeline with id [%s] does not exist", text)
	default:
		if !slices.Contains(bulkKeys, key) {
			return illegalFailure("Action/metadata line [%d] contains an unknown parameter [%s]", line, key)
		}
	}
	return nil
}

// emptyID stands for an _id that was given and is empty.
const emptyID = "\x00"
