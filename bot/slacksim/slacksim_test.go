package slacksim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"twokey/bot/slacksim"
)

// world is a workspace reached in memory, usable inside a synctest bubble.
type world struct {
	*slacksim.Workspace
	http *http.Client
	dial *websocket.Dialer
	api  *slack.Client
}

// newWorld makes the workspace: alice and bob are members, gus a guest, dora deactivated,
// fay another team's; C0OPS has everyone, C0AWAY lacks the bot, G0SECRET is private without it.
func newWorld(t *testing.T, o slacksim.Options) *world {
	t.Helper()
	w := slacksim.New(o)
	w.AddPerson(slacksim.Person{ID: "U0ALICE", Name: "alice", RealName: "Alice"})
	w.AddPerson(slacksim.Person{ID: "U0BOB", Name: "bob", RealName: "Bob"})
	w.AddPerson(slacksim.Person{ID: "U0GUS", Name: "gus", Guest: true})
	w.AddPerson(slacksim.Person{ID: "U0DORA", Name: "dora", Deactivated: true})
	w.AddPerson(slacksim.Person{ID: "U0FAY", Name: "fay", Team: "T0OTHER"})
	w.AddPerson(slacksim.Person{ID: "U0CI", Name: "ci", Bot: true})
	w.AddGroup(slacksim.Group{ID: "S0SRE", Handle: "sre", Name: "SRE", Users: []string{"U0BOB"}})
	w.AddGroup(slacksim.Group{ID: "S0OLD", Handle: "old", Name: "Old", Users: []string{"U0BOB"}, Disabled: true})
	w.AddChannel(slacksim.Channel{ID: "C0OPS", Name: "ops"})
	w.AddChannel(slacksim.Channel{ID: "C0AWAY", Name: "away", WithoutBot: true})
	w.AddChannel(slacksim.Channel{ID: "G0SECRET", Name: "secret", Private: true, WithoutBot: true})
	w.AddChannel(slacksim.Channel{ID: "C0OLD", Name: "old", Archived: true})
	ln, dial := slacksim.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = w.Serve(ln)
	}()
	transport := &http.Transport{DialContext: dial}
	client := &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return &world{
		Workspace: w, http: client, dial: &websocket.Dialer{NetDialContext: dial},
		api: slack.New(w.Options().BotToken, slack.OptionAppLevelToken(w.Options().AppToken),
			slack.OptionAPIURL(w.URL()+"/api/"), slack.OptionHTTPClient(client)),
	}
}

// connect runs a Socket Mode client until the test ends and hands its events to handle.
func (w *world) connect(t *testing.T, handle func(*socketmode.Client, socketmode.Event)) {
	t.Helper()
	c := socketmode.New(w.api, socketmode.OptionDialer(w.dial))
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		for ctx.Err() == nil {
			_ = c.RunContext(ctx)
		}
	}()
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		for {
			select {
			case e := <-c.Events:
				handle(c, e)
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		w.KillSockets()
		<-ran
		<-handled
	})
	w.wait(t, func(s *slacksim.Snapshot) bool { return s.Sockets() > 0 })
}

func (w *world) wait(t *testing.T, ok func(*slacksim.Snapshot) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // the bubble's time
	defer cancel()
	if err := w.WaitFor(ctx, ok); err != nil {
		t.Fatal(err)
	}
}

// clean fails the test if the workspace saw a violation.
func (w *world) clean(t *testing.T) {
	t.Helper()
	for _, v := range w.Violations() {
		t.Errorf("violation: %s", v)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// slackError is Slack's error word in err, or err's text.
func slackError(err error) string {
	var se slack.SlackErrorResponse
	if errors.As(err, &se) {
		return se.Err
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// bubble runs a test in a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// form calls a method with exactly these arguments and returns Slack's error word and
// its explanations.
func (w *world) form(t *testing.T, method string, args url.Values) (word string, messages []string) {
	t.Helper()
	args.Set("token", w.Options().BotToken)
	resp, err := w.http.PostForm(w.URL()+"/api/"+method, args)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Error string
		Meta  struct{ Messages []string } `json:"response_metadata"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got.Error, got.Meta.Messages
}
