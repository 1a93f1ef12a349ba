package slacksim

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// object is the message as the API and events show it.
func (w *Workspace) object(m *Message, metadata bool) map[string]any {
	o := map[string]any{"type": "message", "user": m.User, "ts": m.TS, "text": m.Text, "team": w.opts.TeamID}
	if m.BotID != "" {
		o["bot_id"], o["app_id"] = m.BotID, w.opts.AppID
	}
	if m.Subtype != "" {
		o["subtype"] = m.Subtype
	}
	if m.Blocks != nil {
		o["blocks"] = m.Blocks
	}
	if m.Attachments != nil {
		o["attachments"] = m.Attachments
	}
	if metadata && m.Metadata != nil {
		o["metadata"] = m.Metadata
	}
	if files := w.fileObjects(m); files != nil {
		o["files"] = files
	}
	if m.EditedTS != "" {
		o["edited"] = map[string]any{"user": m.User, "ts": m.EditedTS}
	}
	if m.Thread != "" {
		o["thread_ts"] = m.Thread
		if root := find(w.messages[m.Channel], func(r *Message) bool { return r.TS == m.Thread }); root != nil {
			o["parent_user_id"] = root.User
		}
	} else if n := w.replyCount(m); n > 0 {
		o["thread_ts"], o["reply_count"] = m.TS, n
	}
	var reactions []any
	for _, r := range m.Reactions {
		reactions = append(reactions, map[string]any{"name": r.Name, "users": r.Users, "count": len(r.Users)})
	}
	if reactions != nil {
		o["reactions"] = reactions
	}
	return o
}

func (w *Workspace) replyCount(root *Message) int {
	n := 0
	for _, m := range w.messages[root.Channel] {
		if m.Thread == root.TS && !m.Deleted {
			n++
		}
	}
	return n
}

func history(w *Workspace, q *request) (map[string]any, *apiError) {
	c, fail := w.readable(q.args["channel"], ":history")
	if fail != nil {
		return nil, fail
	}
	if !c.has(w.opts.BotUser) {
		return nil, refuse("not_in_channel")
	}
	var ms []*Message
	for _, m := range w.messages[c.ID] {
		if m.Thread == "" && (!m.Deleted || m.Subtype == "tombstone") && within(q, m.TS) {
			ms = append(ms, m)
		}
	}
	slices.Reverse(ms)
	return w.page(q, ms, nil, 100, 999)
}

func replies(w *Workspace, q *request) (map[string]any, *apiError) {
	c, fail := w.readable(q.args["channel"], ":history")
	if fail != nil {
		return nil, fail
	}
	if !c.has(w.opts.BotUser) {
		return nil, refuse("not_in_channel")
	}
	ts := q.args["ts"]
	root := find(w.messages[c.ID], func(m *Message) bool { return m.TS == ts && (!m.Deleted || m.Subtype == "tombstone") })
	if root == nil {
		return nil, refuse("thread_not_found")
	}
	var ms []*Message
	for _, m := range w.messages[c.ID] {
		if m.Thread == ts && !m.Deleted && within(q, m.TS) {
			ms = append(ms, m)
		}
	}
	// Every page begins with the root.
	return w.page(q, ms, root, 1000, 1000)
}

func within(q *request, ts string) bool {
	oldest, latest, inclusive := q.args["oldest"], q.args["latest"], q.flag("inclusive")
	if oldest != "" && (less(ts, oldest) || !inclusive && ts == oldest) {
		return false
	}
	return latest == "" || !(less(latest, ts) || !inclusive && ts == latest)
}

// less orders timestamps, with or without a fraction.
func less(a, b string) bool {
	as, am, _ := strings.Cut(a, ".")
	bs, bm, _ := strings.Cut(b, ".")
	if len(as) != len(bs) {
		return len(as) < len(bs)
	}
	if as != bs {
		return as < bs
	}
	return (am + "000000")[:6] < (bm + "000000")[:6]
}

func (w *Workspace) page(q *request, ms []*Message, first *Message, limit, top int) (map[string]any, *apiError) {
	if s := q.args["limit"]; s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > top {
			return nil, blame("invalid_limit", "limit %s, at most %d", s, top)
		}
		limit = n
	}
	start := 0
	if cur := q.args["cursor"]; cur != "" {
		raw, err := base64.StdEncoding.DecodeString(cur)
		ts, ok := strings.CutPrefix(string(raw), "next_ts:")
		if err != nil || !ok {
			return nil, blame("invalid_cursor", "cursor %q", cur)
		}
		start = slices.IndexFunc(ms, func(m *Message) bool { return m.TS == ts })
		if start < 0 {
			return nil, refuse("invalid_cursor")
		}
	}
	end := min(start+limit, len(ms))
	list := []any{}
	if first != nil {
		list = append(list, w.object(first, q.flag("include_all_metadata")))
	}
	for _, m := range ms[start:end] {
		list = append(list, w.object(m, q.flag("include_all_metadata")))
	}
	reply := map[string]any{"messages": list, "has_more": end < len(ms)}
	if end < len(ms) {
		cur := base64.StdEncoding.EncodeToString([]byte("next_ts:" + ms[end].TS))
		reply["response_metadata"] = map[string]any{"next_cursor": cur}
	}
	return reply, nil
}

// rawJSON marshals a value that is known to be encodable.
func rawJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("slacksim: " + err.Error())
	}
	return b
}
