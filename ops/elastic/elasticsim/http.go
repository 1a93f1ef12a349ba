package elasticsim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	productHeader = "X-Elastic-Product"
	serverVersion = "8.19.13"
	jsonType      = "application/json"
	textType      = "text/plain; charset=UTF-8"
)

// request is what a route works on.
type request struct {
	*http.Request
	cluster *Cluster
	path    map[string]string // values of the route's {parts}
	query   url.Values
	body    []byte
	now     time.Time
	local   *node // that answers
}

// answer is what a route returns: a JSON value or a text. status 0 is 200.
type answer struct {
	status int
	value  any
	text   string
	allow  string
	bare   bool // without X-Elastic-Product, as the server answers blocked requests
}

// route is an endpoint. params are the query parameters it knows besides the
// common ones; any other is refused, as on the server.
type route struct {
	method  string
	pattern string
	params  string
	serve   func(*request) answer
	// needsMaster: waits for an elected master, up to master_timeout.
	needsMaster bool
	writes      bool
	// document: writes documents, which waits for a master up to timeout.
	document bool
	parts    []string
}

// jsonTypes are the content types that bodies may have.
var jsonTypes = map[string]bool{jsonType: true, "application/x-ndjson": true,
	"application/vnd.elasticsearch+json": true, "application/vnd.elasticsearch+x-ndjson": true}

const commonParams = "pretty human error_trace filter_path format master_timeout timeout local"

// catParams are those of every _cat endpoint.
const catParams = "h s v help bytes time size"

// ServeHTTP answers as the first live node; with none alive the connection drops.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.serve(w, r, nil) }

// Node returns the handler of one node's own address: it drops connections while
// the node is dead. It panics when there is no such node.
func (c *Cluster) Node(name string) http.Handler {
	n := c.mustNode(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, n) })
}

func (c *Cluster) serve(w http.ResponseWriter, r *http.Request, via *node) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	c.mu.Lock()
	intercept := c.intercept
	c.mu.Unlock()
	var f Fault
	if intercept != nil {
		probe := r.Clone(r.Context())
		probe.Body = io.NopCloser(strings.NewReader(string(body)))
		f = intercept(probe)
	}
	if f.Delay > 0 && !sleep(r, f.Delay) {
		panic(http.ErrAbortHandler)
	}
	rt, path, other := c.match(r.Method, r.URL.EscapedPath())
	log := func(status int) {
		if rt == nil && r.Method != http.MethodGet && r.Method != http.MethodHead || rt != nil && rt.writes {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.writes = append(c.writes, Write{time.Now(), r.Method, r.URL.RequestURI(), string(body[:min(len(body), loggedBody)]), r.Header.Get("X-Opaque-Id"), status})
		}
	}
	if f.Refuse {
		log(0)
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		log(f.Status)
		w.Header().Set(productHeader, "Elasticsearch")
		send(w, r, f.Status, jsonType, []byte(f.text()))
		return
	}
	c.mu.Lock()
	if via == nil {
		via = c.firstLive()
	}
	if via == nil || !via.alive {
		c.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	req := &request{Request: r, cluster: c, path: path, query: r.URL.Query(), body: body, now: time.Now(), local: via}
	c.requests++
	a := c.dispatch(req, rt, other)
	if !via.alive { // it died while the request waited
		c.mu.Unlock()
		log(0)
		panic(http.ErrAbortHandler)
	}
	contentType, out := a.render(req)
	if rt != nil {
		t := c.traffic[rt.method+" "+rt.pattern]
		t.Requests++
		t.Bytes += int64(len(out))
		c.traffic[rt.method+" "+rt.pattern] = t
	}
	c.mu.Unlock()
	log(max(a.status, http.StatusOK))
	if f.LoseReply {
		panic(http.ErrAbortHandler)
	}
	if a.allow != "" {
		w.Header().Set("Allow", a.allow)
	}
	if !a.bare {
		w.Header().Set(productHeader, "Elasticsearch")
	}
	send(w, r, max(a.status, http.StatusOK), contentType, out)
}

// dispatch runs a route under the lock.
func (c *Cluster) dispatch(r *request, rt *route, other []string) answer {
	c.settle(r.now)
	if rt == nil {
		c.unknown = append(c.unknown, r.Method+" "+r.URL.Path)
		if len(other) > 0 {
			allowed := strings.Join(other, ", ")
			return answer{status: http.StatusMethodNotAllowed, allow: strings.Join(other, ","), value: object{
				{"error", "Incorrect HTTP method for uri [" + r.URL.RequestURI() + "] and method [" + r.Method + "], allowed: [" + allowed + "]"},
				{"status", http.StatusMethodNotAllowed}}}
		}
		if name := strings.Trim(r.URL.Path, "/"); strings.HasPrefix(name, "_") && !strings.Contains(name, "/") {
			if r.Method == http.MethodPut {
				return badIndexName(name, checkName(name)).answer()
			}
			return (&failure{status: http.StatusBadRequest, kind: "invalid_index_name_exception", reason: "Invalid index name [" + name + "], must not start with '_'.", more: object{{"index_uuid", "_na_"}, {"index", name}}}).answer()
		}
		return answer{status: http.StatusBadRequest, value: object{
			{"error", "no handler found for uri [" + r.URL.RequestURI() + "] and method [" + r.Method + "]"}}}
	}
	if len(r.body) > 0 {
		if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !jsonTypes[ct] {
			return answer{status: http.StatusNotAcceptable, value: object{
				{"error", "Content-Type header [" + r.Header.Get("Content-Type") + "] is not supported"}, {"status", http.StatusNotAcceptable}}}
		}
	}
	if bad := r.unrecognized(rt); len(bad) > 0 {
		return illegal("request [%s] contains unrecognized parameter%s: %s", r.URL.Path, plural(len(bad)), strings.Join(bad, ", "))
	}
	if rt.needsMaster && !c.await(r, r.timeout("master_timeout", 30*time.Second), func() bool { return c.master != nil }) {
		return masterNotDiscovered()
	}
	if rt.document && !c.await(r, r.timeout("timeout", time.Minute), func() bool { return c.master != nil }) {
		return (&failure{status: http.StatusServiceUnavailable, kind: "cluster_block_exception", reason: "blocked by: [SERVICE_UNAVAILABLE/2/no master];"}).answer()
	}
	a := rt.serve(r)
	c.schedule(time.Now(), false)
	return a
}

// await waits under the lock, released meanwhile, until cond holds; false when the
// time is over or the client is gone.
func (c *Cluster) await(r *request, limit time.Duration, cond func() bool) bool {
	deadline := r.now.Add(limit)
	for {
		r.now = time.Now()
		c.settle(r.now)
		if cond() {
			return true
		}
		if !r.now.Before(deadline) {
			return false
		}
		wake := deadline
		if at, ok := c.next(); ok && at.Before(wake) {
			wake = at
		}
		changed := make(chan struct{})
		c.waiters = append(c.waiters, changed)
		c.mu.Unlock()
		timer := time.NewTimer(wake.Sub(r.now))
		select {
		case <-timer.C:
		case <-changed:
		case <-r.Context().Done():
		}
		timer.Stop()
		c.mu.Lock()
		c.waiters = slices.DeleteFunc(c.waiters, func(w chan struct{}) bool { return w == changed })
		if r.Context().Err() != nil {
			return false
		}
	}
}

func (c *Cluster) firstLive() *node {
	for _, n := range c.nodes {
		if n.alive {
			return n
		}
	}
	return nil
}

// match finds the route; other lists the methods the path would take.
func (c *Cluster) match(method, path string) (rt *route, parts map[string]string, other []string) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for i, s := range segments { // an id may hold an escaped slash
		if plain, err := url.PathUnescape(s); err == nil {
			segments[i] = plain
		}
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range routes {
		p, ok := routes[i].matches(segments)
		if !ok {
			continue
		}
		if routes[i].method == method {
			return &routes[i], p, nil
		}
		if !slices.Contains(other, routes[i].method) {
			other = append(other, routes[i].method)
		}
	}
	if len(other) == 0 && len(segments) == 2 { // the server takes it for POST /<index>/<type>
		other = []string{http.MethodPost}
	}
	sort.Strings(other)
	return nil, nil, other
}

// matches compares a path with the pattern. A {part} does not take a name that
// begins with an underscore, unless it is {_any}.
func (rt *route) matches(segments []string) (map[string]string, bool) {
	if len(rt.parts) != len(segments) {
		return nil, false
	}
	var values map[string]string
	for i, p := range rt.parts {
		if !strings.HasPrefix(p, "{") {
			if p != segments[i] {
				return nil, false
			}
			continue
		}
		if segments[i] == "" || strings.HasPrefix(p, "{index") && strings.HasPrefix(segments[i], "_") && segments[i] != "_all" {
			return nil, false
		}
		if values == nil {
			values = map[string]string{}
		}
		values[strings.Trim(p, "{}")] = segments[i]
	}
	return values, true
}

func (r *request) unrecognized(rt *route) []string {
	known := strings.Fields(commonParams + " " + rt.params)
	var bad []string
	for _, k := range sortedKeys(r.query) {
		if !slices.Contains(known, k) {
			bad = append(bad, "["+k+"]")
		}
	}
	return bad
}

// flag reads a boolean parameter; present without a value is true.
func (r *request) flag(name string) bool {
	return r.query.Has(name) && r.query.Get(name) != "false"
}

// timeout reads a duration parameter.
func (r *request) timeout(name string, normally time.Duration) time.Duration {
	if d, err := parseTime(r.query.Get(name)); err == nil {
		return d
	}
	return normally
}

// parseTime reads a duration like "30s", "500ms" or "1d".
func parseTime(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	if s == "-1" {
		return 365 * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}

// decode reads the body; a mistake is answered as the server does.
func (r *request) decode(into any) *failure {
	if len(r.body) == 0 {
		return &failure{status: 400, kind: "parse_exception", reason: "request body is required"}
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		return &failure{status: 400, kind: "x_content_parse_exception", reason: err.Error()}
	}
	return nil
}

// object reads the body, a JSON object.
func (r *request) object() (object, *failure) {
	if len(r.body) == 0 {
		return nil, &failure{status: 400, kind: "parse_exception", reason: "request body is required"}
	}
	o, err := parseObject(r.body)
	if err != nil {
		return nil, &failure{status: 400, kind: "x_content_parse_exception", reason: err.Error()}
	}
	return o, nil
}

func (a answer) render(r *request) (contentType string, body []byte) {
	if a.value == nil {
		return textType, []byte(a.text)
	}
	v := parseFilterPath(r.query.Get("filter_path")).apply(a.value)
	pretty := r.flag("pretty") || r.URL.Path == "/" && !r.query.Has("pretty")
	return jsonType, encode(v, pretty)
}

func send(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if id := r.Header.Get("X-Opaque-Id"); id != "" {
		h.Set("X-Opaque-Id", id)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}

func sleep(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
