package slacksim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is one request to the Web API or to a response URL, as answered.
type Call struct {
	Seq     int
	Time    time.Time
	Method  string // "chat.postMessage", …, "response_url" or "upload_url"
	Channel string // as asked
	TS      string // of the message posted, edited, deleted or reacted to
	Thread  string
	User    string
	Args    map[string]string // as asked, without the token
	Status  int               // HTTP status; 0: the connection was cut
	Error   string            // Slack's error word; empty: ok
	Effect  bool              // whether it was carried out, whatever was answered
	Early   bool              // made before the Retry-After of an earlier 429 was over

	lost bool // its effect does not show
}

// Violation is something a correct bot never does.
type Violation struct {
	Time   time.Time
	Method string // API method, or "socket", "http", "response_url"
	What   string
}

func (v Violation) String() string { return v.Method + ": " + v.What }

// violate records a violation; w.mu is held.
func (w *Workspace) violate(method, format string, args ...any) {
	w.violations = append(w.violations, Violation{Time: time.Now(), Method: method, What: fmt.Sprintf(format, args...)})
}

// apiError is an answer of ok:false.
type apiError struct {
	code     string
	messages []string // response_metadata.messages
	needed   string   // missing_scope
	bug      string   // not empty: a violation too
}

func refuse(code string) *apiError { return &apiError{code: code} }

// blame is an error that is the bot's own fault.
func blame(code, format string, args ...any) *apiError {
	return &apiError{code: code, bug: fmt.Sprintf(format, args...)}
}

// badArguments is invalid_arguments with Slack's explanation.
func badArguments(format string, args ...any) *apiError {
	what := fmt.Sprintf(format, args...)
	return &apiError{code: "invalid_arguments", messages: []string{"[ERROR] " + what}, bug: what}
}

// request is one API call being answered.
type request struct {
	method   string
	args     map[string]string // objects and arrays of JSON bodies as their JSON
	warnings []string
	call     *Call
}

func (q *request) has(name string) bool { _, ok := q.args[name]; return ok }

func (q *request) flag(name string) bool {
	v := q.args[name]
	return v == "1" || v == "true"
}

func (w *Workspace) serveAPI(rw http.ResponseWriter, r *http.Request) {
	q := &request{method: r.PathValue("method")}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	args, header, bad := parseArgs(r, body)
	q.args = args
	token := header
	if token == "" {
		token = args["token"]
	}
	_, inBody := args["token"]
	delete(args, "token")

	channel := cmp.Or(args["channel"], args["channel_id"])
	fault := w.takeFault(q.method, channel)
	if fault != nil && !sleep(r.Context(), fault.Delay) {
		return
	}
	call := Call{
		Method: q.method, Channel: channel, TS: args["ts"], Thread: args["thread_ts"],
		User: args["user"], Args: maps.Clone(args), lost: fault != nil && fault.NeverShown,
	}
	q.call = &call
	if fault != nil && fault.before(rw, &call) {
		if call.Error == "ratelimited" {
			w.told(limitKey(q.method, args["channel"]), fault.RetryAfter, &call)
		}
		w.log(call)
		if call.Status == 0 {
			panic(http.ErrAbortHandler)
		}
		return
	}

	w.mu.Lock()
	wait, early := w.limit(q, time.Now())
	call.Early = early
	var reply map[string]any
	var fail *apiError
	switch {
	case wait > 0:
		fail = refuse("ratelimited")
	case bad != nil:
		fail = bad
	default:
		reply, fail = w.dispatch(q, token, header != "", inBody)
	}
	status := http.StatusOK
	if fail != nil {
		reply = map[string]any{"error": fail.code}
		call.Error = fail.code
		if fail.needed != "" {
			reply["needed"], reply["provided"] = fail.needed, strings.Join(w.opts.Scopes, ",")
		}
		if fail.messages != nil {
			reply["response_metadata"] = map[string]any{"messages": fail.messages}
		}
		if fail.bug != "" {
			w.violate(q.method, "%s: %s", fail.code, fail.bug)
		}
	}
	if wait > 0 {
		status = http.StatusTooManyRequests
		rw.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	call.Effect, call.Status = fail == nil, status
	dropped := fault != nil && fault.DropReply
	if dropped {
		call.Status = 0
	}
	w.mu.Unlock()
	w.log(call)
	if dropped {
		panic(http.ErrAbortHandler)
	}
	if fault != nil && !sleep(r.Context(), fault.DelayReply) {
		return
	}
	reply["ok"] = fail == nil
	if q.warnings != nil {
		reply["warning"] = strings.Join(q.warnings, ",")
		reply["response_metadata"] = map[string]any{"warnings": q.warnings}
	}
	rw.Header().Set("X-OAuth-Scopes", strings.Join(w.opts.Scopes, ","))
	writeJSON(rw, status, reply)
}

// logMost is how many calls, and how many deliveries, are remembered; the older half goes
// when it is reached, so that a sandbox may stay open for weeks.
const logMost = 100_000

// log appends the call.
func (w *Workspace) log(c Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) >= logMost {
		w.calls = slices.Delete(w.calls, 0, logMost/2)
	}
	w.called++
	c.Seq, c.Time = w.called, time.Now()
	w.calls = append(w.calls, c)
	w.touch()
}

// dispatch checks token, scope and arguments and runs the method; w.mu is held.
func (w *Workspace) dispatch(q *request, token string, inHeader, inBody bool) (map[string]any, *apiError) {
	m, ok := methods[q.method]
	if !ok {
		return nil, blame("unknown_method", "no such method")
	}
	if token == "" {
		return nil, blame("not_authed", "no token")
	}
	if m.app {
		if inBody || !inHeader {
			return nil, blame("not_authed", "the app token belongs in the Authorization header alone")
		}
		if token == w.opts.BotToken {
			return nil, blame("not_allowed_token_type", "wants the app token")
		}
		if token != w.opts.AppToken {
			return nil, refuse("invalid_auth")
		}
	} else {
		if token == w.opts.AppToken {
			return nil, blame("not_allowed_token_type", "wants the bot token")
		}
		if token != w.opts.BotToken {
			return nil, refuse("invalid_auth")
		}
	}
	if m.scope != "" && !slices.Contains(w.opts.Scopes, m.scope) {
		return nil, missingScope(m.scope)
	}
	known := slices.Concat(m.required, m.optional)
	for _, name := range slices.Sorted(maps.Keys(q.args)) {
		if !slices.Contains(known, name) {
			return nil, badArguments("unknown argument: %s", name)
		}
	}
	for _, name := range m.required {
		if q.args[name] == "" {
			return nil, badArguments("missing required field: %s", name)
		}
	}
	reply, fail := m.run(w, q)
	if reply == nil {
		reply = map[string]any{}
	}
	return reply, fail
}

func missingScope(scope string) *apiError {
	return &apiError{code: "missing_scope", needed: scope, bug: "needs scope " + scope}
}

// parseArgs reads the arguments of a form, query or JSON body, and the header's token.
func parseArgs(r *http.Request, body []byte) (args map[string]string, token string, bad *apiError) {
	args = map[string]string{}
	add := func(vs url.Values) {
		for k, v := range vs {
			if len(v) > 1 && bad == nil {
				bad = badArguments("argument given twice: %s", k)
			}
			args[k] = v[0]
		}
	}
	add(r.URL.Query())
	token, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method == http.MethodGet:
	case r.Method != http.MethodPost:
		bad = blame("invalid_post_type", "HTTP method %s", r.Method)
	case kind == "application/x-www-form-urlencoded":
		vs, err := url.ParseQuery(string(body))
		if err != nil {
			return args, token, blame("invalid_form_data", "%v", err)
		}
		add(vs)
	case kind == "application/json":
		if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
			return args, token, blame("invalid_charset", "charset %s", cs)
		}
		if m := methods[r.PathValue("method")]; m != nil && m.read {
			// Read methods do not look into JSON bodies at all.
			if len(m.required) > 0 {
				bad = badArguments("missing required field: %s (JSON bodies are not read by this method)", m.required[0])
			}
			return args, token, bad
		}
		bad = addJSON(args, body)
	case len(body) > 0:
		bad = blame("invalid_post_type", "content type %q", r.Header.Get("Content-Type"))
	}
	return args, token, bad
}

func addJSON(args map[string]string, body []byte) *apiError {
	if len(body) == 0 || string(body) == "null\n" {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		if string(body) == "null" {
			return nil
		}
		return blame("json_not_object", "%v", err)
	}
	for k, v := range fields {
		var s string
		if json.Unmarshal(v, &s) == nil {
			args[k] = s
		} else {
			args[k] = string(v)
		}
	}
	// A token in a JSON body is not looked at.
	delete(args, "token")
	return nil
}

func writeJSON(rw http.ResponseWriter, status int, v any) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(v) // the client going away is no error of ours
}
