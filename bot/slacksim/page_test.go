package slacksim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func (w *world) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	resp, err := w.http.Get(w.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body)))
}

func TestPageServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		for path, want := range map[string]string{
			"/": "text/html", "/sandbox/": "text/html", "/sandbox/app.js": "text/javascript", "/sandbox/style.css": "text/css",
			"/sandbox/message.css": "text/css", "/sandbox/message.js": "text/javascript", "/sandbox/blocks.js": "text/javascript",
			"/sandbox/mrkdwn.js": "text/javascript",
		} {
			resp, body := w.get(t, path)
			if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), want) || body == "" {
				t.Errorf("%s: %s %s", path, resp.Status, resp.Header.Get("Content-Type"))
			}
			if !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'self'") {
				t.Errorf("%s: no content security policy", path)
			}
			for _, far := range []string{"https://", "//cdn", "@import"} {
				if strings.Contains(body, far) {
					t.Errorf("%s names an external resource: %s", path, far)
				}
			}
		}
	})
}

// seen is the part of the page's state the tests read.
type seen struct {
	As, Channel, App string
	Channels         []struct{ ID string }
	Messages, Thread []struct {
		Text    string
		Only    bool
		Replies int
		Files   []struct {
			Name string
			Size int
		}
	}
}

func (w *world) seen(t *testing.T, query string) seen {
	t.Helper()
	_, body := w.get(t, "/sandbox/state?"+query)
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) act(t *testing.T, origin, action string) string {
	t.Helper()
	req := must(http.NewRequest(http.MethodPost, w.URL()+"/sandbox/act", strings.NewReader(action)))
	req.Header.Set("Origin", origin)
	resp := must(w.http.Do(req))
	defer resp.Body.Close()
	return strings.TrimSpace(string(must(io.ReadAll(resp.Body))))
}

func TestPageStateAndActions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{Events: []string{}})
		here := w.URL()
		_, ts, _ := w.api.PostMessage("C0OPS", slack.MsgOptionText("card", false))
		if _, err := w.api.PostEphemeral("C0OPS", "U0ALICE", slack.MsgOptionText("for alice", false)); err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{
			`{"as":"U0BOB","channel":"C0OPS","thread":"` + ts + `","kind":"send","text":"@alice & <you>"}`,
			`{"as":"U0BOB","channel":"C0OPS","ts":"` + ts + `","kind":"react","emoji":"x"}`,
		} {
			if got := w.act(t, here, a); got != "{}" {
				t.Errorf("%s: %s", a, got)
			}
		}
		alice, bob := w.seen(t, "as=U0ALICE&channel=C0OPS"), w.seen(t, "as=U0BOB&channel=C0OPS&thread="+ts)
		if len(alice.Messages) != 2 || !alice.Messages[1].Only || alice.Messages[0].Replies != 1 {
			t.Errorf("alice sees %+v", alice.Messages)
		}
		if len(bob.Messages) != 1 || len(bob.Thread) != 2 || bob.Thread[1].Text != "<@U0ALICE> &amp; &lt;you&gt;" {
			t.Errorf("bob sees %+v, thread %+v", bob.Messages, bob.Thread)
		}
		// Nonsense falls back, people who cannot act are nobody, and other sites are kept out.
		if s := w.seen(t, "as=U0DORA&channel=C0NO"); s.As != "U0ALICE" || s.Channel != "C0OPS" || s.App != "" {
			t.Errorf("fell back to %+v", s)
		}
		for action, want := range map[string]string{
			`{"as":"U0BOB","channel":"C0OPS","kind":"send","text":"/nope"}`:                        "/nope is not a command",
			`{"as":"U0BOB","channel":"C0OPS","thread":"1.1","kind":"send","text":"/ops help"}`:     "do not work in threads",
			`{"as":"U0DORA","channel":"C0OPS","kind":"send","text":"hi"}`:                          "deactivated",
			`{"as":"U0BOB","channel":"C0OPS","kind":"click","ts":"` + ts + `","action":"approve"}`: "no button",
			`{"as":"U0BOB","channel":"C0OPS","kind":"dance"}`:                                      "unknown action",
			`{`: "no action",
		} {
			if got := w.act(t, here, action); !strings.Contains(got, want) {
				t.Errorf("%s: %s", action, got)
			}
		}
		if got := w.act(t, "http://evil.test", `{"as":"U0BOB","channel":"C0OPS","kind":"send","text":"hi"}`); !strings.Contains(got, "cross-origin") {
			t.Errorf("another site acted: %s", got)
		}
	})
}

func TestPageStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{Events: []string{}})
		resp := must(w.http.Get(w.URL() + "/sandbox/stream"))
		defer resp.Body.Close()
		next := func() string {
			buf := make([]byte, 64)
			return string(buf[:must(resp.Body.Read(buf))])
		}
		first := next()
		for range 3 {
			must(w.Say("U0BOB", "C0OPS", "hi", ""))
		}
		if second := next(); !strings.HasPrefix(second, "data: ") || second == first {
			t.Errorf("first %q, then %q", first, second)
		}
	})
}
