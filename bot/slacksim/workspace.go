package slacksim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultScopes are the bot scopes the app's manifest asks for.
var DefaultScopes = []string{
	"commands", "chat:write", "reactions:read", "app_mentions:read", "users:read", "usergroups:read",
	"channels:history", "groups:history", "im:history", "im:write", "files:write",
}

// DefaultEvents are the event subscriptions. message.channels beside app_mention is the
// harsher choice: a mention arrives twice, and the bot's own posts come back.
var DefaultEvents = []string{
	"app_mention", "message.channels", "message.groups", "message.im", "reaction_added", "reaction_removed",
}

// Options describe a workspace and its one app. The zero value is usable.
type Options struct {
	URL       string // base of the URLs handed out; empty: http://slack.test, or the address of Serve's listener
	TeamID    string // empty: T0HOME
	TeamName  string // empty: Home
	Domain    string // empty: home
	AppID     string // empty: A0TWOKEY
	BotUser   string // the bot's user id; empty: U0TWOKEY
	BotID     string // empty: B0TWOKEY
	BotName   string // empty: twokey
	BotToken  string // empty: xoxb-slacksim
	AppToken  string // empty: xapp-slacksim
	Secret    string // signing secret; empty: slacksim-signing-secret
	Command   string // the slash command; empty: /ops
	Scopes    []string
	Events    []string
	AckWithin time.Duration // zero: 3 s
	// Retries are the waits before an event's second, third and fourth delivery, each
	// counted from the failure before. Nil: 0, 1 min, 5 min. Empty, not nil: no retry.
	Retries []time.Duration
	// PingEvery is the time between WebSocket pings. Zero: 10 s.
	PingEvery time.Duration
	// ShareAfter is how long after files.completeUploadExternal a file shows. Zero: 1 s.
	ShareAfter time.Duration
	// NoRateLimits switches the rate tiers off.
	NoRateLimits bool
	// Mangle makes every text people type pass through Mangle.
	Mangle bool
	// Welcome is shown above the first channel of the page; mrkdwn. Empty: a general hint.
	Welcome string
	// Try are texts the page offers to fill into the composer.
	Try []string
}

func (o Options) withDefaults() Options {
	o.TeamID = cmp.Or(o.TeamID, "T0HOME")
	o.TeamName = cmp.Or(o.TeamName, "Home")
	o.Domain = cmp.Or(o.Domain, "home")
	o.AppID = cmp.Or(o.AppID, "A0TWOKEY")
	o.BotUser = cmp.Or(o.BotUser, "U0TWOKEY")
	o.BotID = cmp.Or(o.BotID, "B0TWOKEY")
	o.BotName = cmp.Or(o.BotName, "twokey")
	o.BotToken = cmp.Or(o.BotToken, "xoxb-slacksim")
	o.AppToken = cmp.Or(o.AppToken, "xapp-slacksim")
	o.Secret = cmp.Or(o.Secret, "slacksim-signing-secret")
	o.Command = cmp.Or(o.Command, "/ops")
	o.AckWithin = cmp.Or(o.AckWithin, 3*time.Second)
	o.PingEvery = cmp.Or(o.PingEvery, 10*time.Second)
	o.ShareAfter = cmp.Or(o.ShareAfter, defaultShare)
	if o.Scopes == nil {
		o.Scopes = DefaultScopes
	}
	if o.Events == nil {
		o.Events = DefaultEvents
	}
	if o.Retries == nil {
		o.Retries = []time.Duration{0, time.Minute, 5 * time.Minute}
	}
	return o
}

// Workspace is one Slack workspace with one app installed. Its methods may be called
// from any goroutine. Close it.
type Workspace struct {
	opts Options
	mux  *http.ServeMux

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	url        string
	people     []*Person
	groups     []*Group
	channels   []*Channel
	messages   map[string][]*Message // by channel, in order of ts
	ephemerals []*Ephemeral
	responses  map[string]*responseURL
	uploads    map[string]*upload // by file id
	uploadURLs map[string]*upload // by ticket
	lastSecond int64
	lastMicro  int
	serial     int
	changed    chan struct{} // closed and replaced on every change
	version    int

	calls      []Call
	called     int
	violations []Violation
	faults     []*Fault
	limits     *limiter
	deliveries []*Delivery
	late       DeliveryFault

	tickets  map[string]time.Time // unused Socket Mode URLs and when they were given
	sockets  []*socket
	nextSock int
	pending  map[string]chan socketAck // by envelope id
	expired  map[string]bool           // envelopes whose time is over
	http     *requestURLs
	servers  []*http.Server
}

// New returns a workspace whose only user is the bot and Slackbot. It starts no goroutine before it
// is used.
func New(o Options) *Workspace {
	o = o.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	w := &Workspace{
		opts: o, ctx: ctx, cancel: cancel, url: cmp.Or(o.URL, "http://slack.test"),
		messages: map[string][]*Message{}, responses: map[string]*responseURL{},
		uploads: map[string]*upload{}, uploadURLs: map[string]*upload{},
		changed: make(chan struct{}), limits: newLimiter(),
		tickets: map[string]time.Time{}, pending: map[string]chan socketAck{}, expired: map[string]bool{},
	}
	w.people = []*Person{
		{ID: o.BotUser, Name: o.BotName, RealName: o.BotName, Team: o.TeamID, Bot: true, botID: o.BotID},
		{ID: "USLACKBOT", Name: "slackbot", RealName: "Slackbot", Team: o.TeamID},
	}
	w.mux = http.NewServeMux()
	w.mux.HandleFunc("/api/{method}", w.serveAPI)
	w.mux.HandleFunc("POST /response/{id}", w.serveResponse)
	w.mux.HandleFunc("POST /upload/v1/{ticket}", w.serveUpload)
	w.mux.HandleFunc("GET /link", w.serveSocket)
	w.addPage(w.mux)
	return w
}

// ServeHTTP makes the workspace an http.Handler.
func (w *Workspace) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.mux.ServeHTTP(rw, r) }

// Serve serves the workspace on ln until Close. Without Options.URL, URLs handed out
// from now on carry the listener's address.
func (w *Workspace) Serve(ln net.Listener) error {
	srv := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return http.ErrServerClosed
	}
	w.servers = append(w.servers, srv)
	if w.opts.URL == "" && ln.Addr().Network() == "tcp" {
		w.url = "http://" + ln.Addr().String()
	}
	w.mu.Unlock()
	return srv.Serve(ln)
}

// Close cuts all connections, ends deliveries and waits for them.
func (w *Workspace) Close() error {
	w.mu.Lock()
	w.closed = true
	servers := w.servers
	w.mu.Unlock()
	w.cancel()
	w.KillSockets()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Close())
	}
	w.wg.Wait()
	return errors.Join(errs...)
}

// URL is the base of the workspace; the Web API is at URL()+"/api/".
func (w *Workspace) URL() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.url
}

// Options returns the options in force, defaults filled in.
func (w *Workspace) Options() Options { return w.opts }

// Mention is how a message mentions the bot.
func (w *Workspace) Mention() string { return "<@" + w.opts.BotUser + ">" }

// touch records a change; w.mu is held.
func (w *Workspace) touch() {
	w.version++
	close(w.changed)
	w.changed = make(chan struct{})
}

// newTS returns the next timestamp: unique, increasing, as Slack writes them; w.mu is held.
func (w *Workspace) newTS() string {
	now := time.Now().Unix()
	if now > w.lastSecond {
		w.lastSecond, w.lastMicro = now, 0
	}
	if w.lastMicro += 100; w.lastMicro > 999_900 {
		w.lastSecond, w.lastMicro = w.lastSecond+1, 100
	}
	return fmt.Sprintf("%d.%06d", w.lastSecond, w.lastMicro)
}

// newID returns prefix and a number never given before; w.mu is held.
func (w *Workspace) newID(prefix string) string {
	w.serial++
	return fmt.Sprintf("%s%09d", prefix, w.serial)
}

// newTrigger returns a trigger id in Slack's form; w.mu is held.
func (w *Workspace) newTrigger() string {
	w.serial++
	return fmt.Sprintf("%d.%d.%032x", time.Now().UnixMilli(), 900000000+w.serial, w.serial)
}

// AddPerson adds a user. An empty ID, Name or Team is filled in; an empty Team means
// the home workspace.
func (w *Workspace) AddPerson(p Person) Person {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.ID = cmp.Or(p.ID, w.newID("U"))
	p.Name = cmp.Or(p.Name, strings.ToLower(p.ID))
	p.RealName = cmp.Or(p.RealName, p.Name)
	p.Team = cmp.Or(p.Team, w.opts.TeamID)
	if p.Bot {
		p.botID = "B" + strings.TrimPrefix(p.ID, "U")
	}
	w.people = slices.DeleteFunc(w.people, func(q *Person) bool { return q.ID == p.ID })
	w.people = append(w.people, &p)
	w.touch()
	return p
}

// AddGroup adds or replaces a user group.
func (w *Workspace) AddGroup(g Group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g.Users = slices.Clone(g.Users)
	w.groups = slices.DeleteFunc(w.groups, func(q *Group) bool { return q.ID == g.ID })
	w.groups = append(w.groups, &g)
	w.touch()
}

// AddChannel adds or replaces a channel, keeping its messages. Without Members, all
// people known now and the bot are in it.
func (w *Workspace) AddChannel(c Channel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Members = slices.Clone(c.Members)
	if c.Members == nil {
		for _, p := range w.people {
			if p.ID != "USLACKBOT" && !(c.WithoutBot && p.ID == w.opts.BotUser) {
				c.Members = append(c.Members, p.ID)
			}
		}
	}
	if i := slices.IndexFunc(w.channels, func(q *Channel) bool { return q.ID == c.ID }); i >= 0 {
		w.channels[i] = &c
	} else {
		w.channels = append(w.channels, &c)
	}
	w.touch()
}

// DM returns the id of the person's direct channel with the bot, opening it if needed.
func (w *Workspace) DM(user string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dm(user).ID
}

// dm is DM with w.mu held.
func (w *Workspace) dm(user string) *Channel {
	for _, c := range w.channels {
		if c.DM == user {
			return c
		}
	}
	c := &Channel{ID: "D" + strings.TrimPrefix(user, "U"), DM: user, Members: []string{user, w.opts.BotUser}}
	w.channels = append(w.channels, c)
	return c
}

// person, group and channel find by id, nil if there is none; w.mu is held.
func (w *Workspace) person(id string) *Person {
	return find(w.people, func(p *Person) bool { return p.ID == id })
}

func (w *Workspace) group(id string) *Group {
	return find(w.groups, func(g *Group) bool { return g.ID == id })
}

func (w *Workspace) channel(id string) *Channel {
	return find(w.channels, func(c *Channel) bool { return c.ID == id })
}

// message finds an undeleted message; w.mu is held.
func (w *Workspace) message(channel, ts string) *Message {
	return find(w.messages[channel], func(m *Message) bool { return m.TS == ts && !m.Deleted })
}

func find[T any](list []*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return nil
}
