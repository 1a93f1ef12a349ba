package slacksim

func init() {
	methods["reactions.get"] = &method{
		scope: "reactions:read", tier: tier3, required: []string{"channel", "timestamp"}, optional: []string{"full"}, run: getReactions,
	}
}

// getReactions shows a message with its reactions. Without full, Slack may leave
// some of the people out; here it leaves out all but the first.
func getReactions(w *Workspace, q *request) (map[string]any, *apiError) {
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
