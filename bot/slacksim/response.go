package slacksim

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// Life of a response URL.
const (
	responseUses = 5
	responseLife = 30 * time.Minute
)

// responseURL lets the app answer a command or a click, whether it is in the channel or not.
type responseURL struct {
	channel, user string
	message       string // ts of the message clicked in; empty: a command's
	ephemeral     *Ephemeral
	given         time.Time
	uses          int
}

// newResponse registers a response URL; w.mu is held.
func (w *Workspace) newResponse(r responseURL) string {
	id := w.newID("R")
	r.given = time.Now()
	w.responses[id] = &r
	return w.responseBase() + "/" + id
}

func (w *Workspace) serveResponse(rw http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		if vs, err := url.ParseQuery(string(raw)); err == nil {
			raw = []byte(vs.Get("payload"))
		}
	}
	w.mu.Lock()
	u := w.responses[r.PathValue("id")]
	channel := ""
	if u != nil {
		channel = u.channel
	}
	w.mu.Unlock()
	call := Call{Method: "response_url", Channel: channel, Args: map[string]string{"payload": string(raw)}}
	fault := w.takeFault("response_url", channel)
	if fault != nil {
		if !sleep(r.Context(), fault.Delay) {
			return
		}
		if fault.before(rw, &call) {
			w.log(call)
			if call.Status == 0 {
				panic(http.ErrAbortHandler)
			}
			return
		}
	}
	w.mu.Lock()
	status, fail := http.StatusOK, (*apiError)(nil)
	switch {
	case u == nil:
		status, fail = http.StatusNotFound, refuse("no_such_url")
	case time.Since(u.given) > responseLife:
		status, fail = http.StatusNotFound, refuse("expired_url")
	case u.uses >= responseUses:
		status, fail = http.StatusNotFound, refuse("used_url")
	default:
		call.User = u.user
		if fail = w.respond(u, raw, "response_url", &call); fail != nil {
			status = http.StatusBadRequest
		} else {
			u.uses++
		}
	}
	if fail != nil {
		call.Error = fail.code
		if fail.bug != "" {
			w.violate("response_url", "%s: %s", fail.code, fail.bug)
		}
	}
	w.mu.Unlock()
	call.Status, call.Effect = status, fail == nil
	dropped := fault != nil && fault.DropReply
	if dropped {
		call.Status = 0
	}
	w.log(call)
	switch {
	case dropped:
		panic(http.ErrAbortHandler)
	case fault != nil && !sleep(r.Context(), fault.DelayReply):
	case fail != nil:
		writeJSON(rw, status, map[string]any{"ok": false, "error": fail.code})
	default:
		rw.Header().Set("Content-Type", "text/plain")
		_, _ = rw.Write([]byte("ok"))
	}
}

// respond carries out what was sent to a response URL or with an acknowledgement; call
// may be nil; w.mu is held.
func (w *Workspace) respond(u *responseURL, raw []byte, via string, call *Call) *apiError {
	var p struct {
		Text         string          `json:"text"`
		Blocks       json.RawMessage `json:"blocks"`
		Attachments  json.RawMessage `json:"attachments"`
		Metadata     json.RawMessage `json:"metadata"`
		ResponseType string          `json:"response_type"`
		Replace      bool            `json:"replace_original"`
		Delete       bool            `json:"delete_original"`
		Thread       string          `json:"thread_ts"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return blame("invalid_payload", "%v", err)
	}
	args := map[string]string{"text": p.Text}
	maps.DeleteFunc(args, func(_, v string) bool { return v == "" })
	for k, v := range map[string]json.RawMessage{"blocks": p.Blocks, "attachments": p.Attachments} {
		if len(v) > 0 {
			args[k] = string(v)
		}
	}
	// slack-go always sends a metadata object, empty when there is none.
	if len(p.Metadata) > 0 && !bytes.Contains(p.Metadata, []byte(`"event_type":""`)) {
		args["metadata"] = string(p.Metadata)
	}
	b, fail := bodyOf(&request{method: "response_url", args: args})
	if fail != nil {
		return fail
	}
	c := w.channel(u.channel)
	original := w.message(u.channel, u.message)
	switch {
	case p.Delete && original != nil:
		w.remove(c, original)
		return nil
	case p.Delete && u.ephemeral != nil:
		w.forget(u.ephemeral)
		return nil
	case b.empty():
		return blame("no_text", "neither text nor blocks")
	case p.Replace && original != nil:
		w.edit(c, original, b)
		return nil
	case p.Replace && u.ephemeral != nil:
		u.ephemeral.Text, u.ephemeral.Blocks = b.text, b.blocks
		w.touch()
		return nil
	case p.ResponseType != "" && p.ResponseType != "ephemeral" && p.ResponseType != "in_channel":
		return blame("invalid_payload", "response_type %q", p.ResponseType)
	}
	thread, fail := w.threadRoot(u.channel, p.Thread)
	if fail != nil {
		return fail
	}
	ts := ""
	if p.ResponseType == "in_channel" {
		ts = w.post(c, w.person(w.opts.BotUser), thread, b, via).TS
	} else {
		ts = w.whisper(u.channel, u.user, w.opts.BotUser, thread, b, via).TS
	}
	if call != nil {
		call.TS = ts
	}
	return nil
}

// forget takes an ephemeral message away; w.mu is held.
func (w *Workspace) forget(e *Ephemeral) {
	for i, o := range w.ephemerals {
		if o == e {
			w.ephemerals = append(w.ephemerals[:i:i], w.ephemerals[i+1:]...)
			break
		}
	}
	w.touch()
}
