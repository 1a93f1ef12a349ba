package slacksim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// pageMessages is how many messages of a channel the page gets, the newest.
const pageMessages = 200

// The types below are what the page's scripts read.
type (
	pageState struct {
		Version  int           `json:"version"`
		Team     string        `json:"team"`
		Bot      string        `json:"bot"`
		BotName  string        `json:"bot_name"`
		Command  string        `json:"command"`
		Welcome  string        `json:"welcome"`
		Try      []string      `json:"try"`
		App      string        `json:"app"` // "Socket Mode", "HTTP", or empty: not connected
		As       string        `json:"as"`
		Channel  string        `json:"channel"`
		People   []pagePerson  `json:"people"`
		Groups   pageNames     `json:"groups"` // handles by id
		Channels []pageChannel `json:"channels"`
		Messages []pageMessage `json:"messages"`
		Thread   []pageMessage `json:"thread"`
	}
	pageNames  map[string]string
	pagePerson struct {
		ID    string            `json:"id"`
		Name  string            `json:"name"`
		Real  string            `json:"real"`
		Label string            `json:"label,omitempty"` // "guest", "app", …
		Can   bool              `json:"can"`             // can be acted as
		Last  map[string]string `json:"last"`            // by channel: ts of the newest message for them
	}
	pageChannel struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Topic    string `json:"topic,omitempty"`
		Kind     string `json:"kind"`
		Members  int    `json:"members"`
		Archived bool   `json:"archived,omitempty"`
	}
	pageMessage struct {
		TS        string          `json:"ts"`
		User      string          `json:"user"`
		App       bool            `json:"app,omitempty"`
		Only      bool            `json:"only,omitempty"` // seen by this person alone
		Deleted   bool            `json:"deleted,omitempty"`
		Edited    bool            `json:"edited,omitempty"`
		Text      string          `json:"text"`
		Blocks    json.RawMessage `json:"blocks,omitempty"`
		Files     []pageFile      `json:"files,omitempty"`
		Reactions []Reaction      `json:"reactions,omitempty"`
		Thread    string          `json:"thread,omitempty"`
		Replies   int             `json:"replies,omitempty"`
		LastReply string          `json:"last_reply,omitempty"`
		Repliers  []string        `json:"repliers,omitempty"`
	}
	pageFile struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Size int    `json:"size"` // bytes
	}
)

// serveState answers with what one person sees. Unknown ids fall back to the first
// person and channel.
func (w *Workspace) serveState(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	s := w.pageState(r.FormValue("as"), r.FormValue("channel"), r.FormValue("thread"))
	raw := rawJSON(s)
	w.mu.Unlock()
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = rw.Write(raw)
}

func (w *Workspace) pageState(as, channel, thread string) pageState {
	s := pageState{
		Version: w.version, Team: w.opts.TeamName, Bot: w.opts.BotUser, BotName: w.opts.BotName, Command: w.opts.Command,
		Welcome: w.opts.Welcome, Try: w.opts.Try, People: []pagePerson{}, Channels: []pageChannel{}, Groups: pageNames{},
	}
	if s.Try == nil {
		s.Try = []string{w.opts.Command + " help"}
	}
	switch {
	case w.http != nil:
		s.App = "HTTP"
	case (&Snapshot{w}).Sockets() > 0:
		s.App = "Socket Mode"
	}
	for _, g := range w.groups {
		s.Groups[g.ID] = g.Handle
	}
	var me *Person
	for _, p := range w.people {
		can := !p.Bot && !p.Deactivated && p.ID != "USLACKBOT"
		if can {
			w.dm(p.ID)
		}
		if can && (me == nil || p.ID == as) {
			me = p
		}
		s.People = append(s.People, pagePerson{ID: p.ID, Name: p.Name, Real: p.RealName, Label: w.label(p), Can: can})
	}
	if me == nil {
		return s
	}
	s.As = me.ID
	for i, p := range s.People {
		if p.Can {
			s.People[i].Last = w.newest(p.ID)
		}
	}
	var here *Channel
	for _, c := range w.channels {
		if !c.has(me.ID) {
			continue
		}
		name := c.Name
		if c.DM != "" {
			name = w.opts.BotName
		}
		s.Channels = append(s.Channels, pageChannel{ID: c.ID, Name: name, Topic: c.Topic, Kind: c.kind(), Members: len(c.Members), Archived: c.Archived})
		if here == nil || c.ID == channel {
			here = c
		}
	}
	if here != nil {
		s.Channel = here.ID
		s.Messages = w.pageMessages(here.ID, me.ID, func(ts, root string) bool { return root == "" })
		if thread != "" {
			s.Thread = w.pageMessages(here.ID, me.ID, func(ts, root string) bool { return ts == thread || root == thread })
		}
	}
	return s
}

func (w *Workspace) label(p *Person) string {
	switch {
	case p.Bot:
		return "app"
	case p.Guest || p.SingleGuest:
		return "guest"
	case p.Deactivated:
		return "deactivated"
	case p.Team != w.opts.TeamID:
		return "other workspace"
	}
	return ""
}

// newest is, by channel, the ts of the newest message outside threads for the person.
func (w *Workspace) newest(user string) map[string]string {
	last := map[string]string{}
	for _, c := range w.channels {
		if !c.has(user) {
			continue
		}
		ms := w.messages[c.ID]
		for _, m := range slices.Backward(ms) {
			if m.Thread == "" && !m.Deleted && m.User != user {
				last[c.ID] = m.TS
				break
			}
		}
	}
	for _, e := range w.ephemerals {
		if e.User == user && e.Thread == "" && e.TS > last[e.Channel] {
			last[e.Channel] = e.TS
		}
	}
	return last
}

func (w *Workspace) pageMessages(channel, user string, keep func(ts, root string) bool) []pageMessage {
	list := []pageMessage{}
	for _, m := range w.messages[channel] {
		if keep(m.TS, m.Thread) && (!m.Deleted || m.Subtype == "tombstone") {
			p := pageMessage{
				TS: m.TS, User: m.User, App: m.BotID != "", Deleted: m.Deleted, Edited: m.EditedTS != "", Text: m.Text,
				Blocks: m.Blocks, Reactions: m.Reactions, Thread: m.Thread,
			}
			if m.BotID == "" {
				p.Blocks = nil // a person's rich text says no more than the text
			}
			for _, f := range m.Files {
				p.Files = append(p.Files, pageFile{ID: f.ID, Name: f.Name, Size: len(f.Content)})
			}
			w.countReplies(m, &p)
			list = append(list, p)
		}
	}
	for _, e := range w.ephemerals {
		if e.Channel == channel && e.User == user && keep(e.TS, e.Thread) {
			list = append(list, pageMessage{TS: e.TS, User: e.From, App: true, Only: true, Text: e.Text, Blocks: e.Blocks, Thread: e.Thread})
		}
	}
	slices.SortStableFunc(list, func(a, b pageMessage) int { return strings.Compare(a.TS, b.TS) })
	return list[max(0, len(list)-pageMessages):]
}

func (w *Workspace) countReplies(root *Message, p *pageMessage) {
	for _, m := range w.messages[root.Channel] {
		if m.Thread == root.TS && !m.Deleted {
			p.Replies++
			p.LastReply = m.TS
			if !slices.Contains(p.Repliers, m.User) {
				p.Repliers = append(p.Repliers, m.User)
			}
		}
	}
}
