package slacksim

import "slices"

func addReaction(w *Workspace, q *request) (map[string]any, *apiError) {
	q.call.TS = q.args["timestamp"]
	if _, fail := w.writable(q.args["channel"]); fail != nil {
		return nil, fail
	}
	m := w.message(q.args["channel"], q.args["timestamp"])
	if m == nil {
		return nil, refuse("message_not_found")
	}
	if !m.react(w.opts.BotUser, q.args["name"]) {
		return nil, refuse("already_reacted")
	}
	w.touch()
	// The bot's own reaction comes back to it as an event.
	w.sendReaction("reaction_added", w.opts.BotUser, m, q.args["name"])
	return nil, nil
}

// getReactions shows a message with its reactions. Without full, Slack may leave
// some of the people out; here it leaves out all but the first.
func getReactions(w *Workspace, q *request) (map[string]any, *apiError) {
	q.call.TS = q.args["timestamp"]
	c := w.channel(q.args["channel"])
	if c == nil || !c.has(w.opts.BotUser) {
		return nil, refuse("channel_not_found")
	}
	m := w.message(c.ID, q.args["timestamp"])
	if m == nil {
		return nil, refuse("message_not_found")
	}
	o := w.object(m, false)
	if !q.flag("full") {
		var some []any
		for _, r := range m.Reactions {
			some = append(some, map[string]any{"name": r.Name, "users": r.Users[:1], "count": len(r.Users)})
		}
		if some != nil {
			o["reactions"] = some
		}
	}
	return map[string]any{"type": "message", "channel": c.ID, "message": o}, nil
}

// react adds the reaction and reports whether it is new.
func (m *Message) react(user, name string) bool {
	i := slices.IndexFunc(m.Reactions, func(r Reaction) bool { return r.Name == name })
	if i < 0 {
		m.Reactions = append(m.Reactions, Reaction{Name: name, Users: []string{user}})
		return true
	}
	if slices.Contains(m.Reactions[i].Users, user) {
		return false
	}
	m.Reactions[i].Users = append(m.Reactions[i].Users, user)
	return true
}

// unreact removes the reaction and reports whether it was there.
func (m *Message) unreact(user, name string) bool {
	for i := range m.Reactions {
		r := &m.Reactions[i]
		if j := slices.Index(r.Users, user); r.Name == name && j >= 0 {
			if r.Users = slices.Delete(slices.Clone(r.Users), j, j+1); len(r.Users) == 0 {
				m.Reactions = slices.Delete(slices.Clone(m.Reactions), i, i+1)
			}
			return true
		}
	}
	return false
}
