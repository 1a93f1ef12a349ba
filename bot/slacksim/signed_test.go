package slacksim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"twokey/bot/slacksim"
)

// verified checks the signature with slack-go and returns the body.
func verified(t *testing.T, w *world, r *http.Request) []byte {
	t.Helper()
	v, err := slack.NewSecretsVerifier(r.Header, w.Options().Secret)
	if err != nil {
		t.Error(err)
		return nil
	}
	raw := must(io.ReadAll(io.TeeReader(r.Body, &v)))
	if err := v.Ensure(); err != nil {
		t.Errorf("%s: %v", r.URL.Path, err)
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return raw
}

func TestSignedHTTP(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var got inbox
		w.serveApp(t, func(rw http.ResponseWriter, r *http.Request) {
			raw := verified(t, w, r)
			switch r.URL.Path {
			case "/slack/commands":
				if c, _ := slack.SlashCommandParse(r); c.Command != "" {
					got.add("%s %s by %s in %s", c.Command, c.Text, c.UserID, c.ChannelName)
					fmt.Fprint(rw, "taken")
				}
			case "/slack/interactions":
				if c, err := slack.InteractionCallbackParse(r); err == nil {
					got.add("click %s", c.ActionCallback.BlockActions[0].ActionID)
				}
			case "/slack/events":
				e := must(slackevents.ParseEvent(raw, slackevents.OptionNoVerifyToken()))
				if u, ok := e.Data.(*slackevents.EventsAPIURLVerificationEvent); ok {
					fmt.Fprint(rw, u.Challenge)
					return
				}
				got.add("%s", e.InnerEvent.Type)
			}
		})
		if err := w.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		d, err := w.Command("U0ALICE", "G0SECRET", "es health")
		await(t, d, err)
		if es := w.Ephemerals("U0ALICE"); len(es) != 1 || es[0].Text != "taken" {
			t.Errorf("told %+v", es)
		}
		_, ts, _ := w.api.PostMessage(w.DM("U0BOB"), slack.MsgOptionText("card", false), slack.MsgOptionBlocks(
			slack.NewActionBlock("", slack.NewButtonBlockElement("approve", "", slack.NewTextBlockObject("plain_text", "Approve", false, false)))))
		w.settle()
		d, err = w.Click("U0BOB", w.DM("U0BOB"), ts, "approve")
		await(t, d, err)
		got.want(t, "/ops es health by U0ALICE in privategroup", "message", "click approve")
		w.clean(t)
	})
}

func TestHTTPRetries(t *testing.T) {
	tests := []struct {
		name   string
		answer func(rw http.ResponseWriter, r *http.Request)
		want   []string // time, retry number, reason of each attempt
	}{
		{"server errors", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) },
			[]string{"0s  ", "0s 1 http_error", "1m0s 2 http_error", "6m0s 3 http_error"}},
		{"too slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			[]string{"0s  ", "3s 1 http_timeout", "1m6s 2 http_timeout", "6m9s 3 http_timeout"}},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			[]string{"0s  ", "0s 1 connection_failed", "1m0s 2 connection_failed", "6m0s 3 connection_failed"}},
		{"redirects", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "/again", http.StatusTemporaryRedirect)
		},
			[]string{"0s  ", "0s 1 too_many_redirects", "1m0s 2 too_many_redirects", "6m0s 3 too_many_redirects"}},
		{"told not to", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Slack-No-Retry", "1")
			rw.WriteHeader(500)
		}, []string{"0s  "}},
		{"good the second time", func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Slack-Retry-Num") == "" {
				rw.WriteHeader(503)
			}
		}, []string{"0s  ", "0s 1 http_error"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, slacksim.Options{})
				var got inbox
				start := time.Now()
				w.serveApp(t, func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/slack/events" {
						verified(t, w, r)
						got.add("%v %s %s", time.Since(start), r.Header.Get("X-Slack-Retry-Num"), r.Header.Get("X-Slack-Retry-Reason"))
					}
					tt.answer(rw, r)
				})
				must(w.Say("U0ALICE", w.DM("U0ALICE"), "hi", ""))
				w.settle()
				got.want(t, tt.want...)
			})
		})
	}
}

func TestHTTPCommandFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var slow atomic.Bool
		w.serveApp(t, func(rw http.ResponseWriter, r *http.Request) {
			verified(t, w, r)
			if slow.Load() {
				<-r.Context().Done()
			}
			rw.WriteHeader(500)
		})
		for _, want := range []string{"dispatch_failed", "operation_timeout"} {
			d := must(w.Command("U0ALICE", "C0OPS", "help"))
			<-d.Done()
			es := w.Ephemerals("U0ALICE")
			if len(d.Attempts()) != 1 || !strings.Contains(es[len(es)-1].Text, want) {
				t.Errorf("%d attempts, told %q, want %s", len(d.Attempts()), es[len(es)-1].Text, want)
			}
			slow.Store(true)
		}
	})
}

func TestResponseURL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var at string
		w.serveApp(t, func(_ http.ResponseWriter, r *http.Request) {
			if c, err := slack.SlashCommandParse(r); err == nil && c.ResponseURL != "" {
				at = c.ResponseURL
			}
		})
		send := func(m map[string]any) string {
			resp, err := w.http.Post(at, "application/json", bytes.NewReader(must(json.Marshal(m))))
			if err != nil {
				return err.Error()
			}
			defer resp.Body.Close()
			return fmt.Sprint(resp.StatusCode, " ", string(must(io.ReadAll(resp.Body))))
		}
		// The bot is no member here: only the response URL works.
		d, err := w.Command("U0ALICE", "C0AWAY", "help")
		await(t, d, err)
		for i := range 5 {
			kind := "ephemeral"
			if i%2 == 1 {
				kind = "in_channel"
			}
			if got := send(map[string]any{"text": "answer", "response_type": kind}); got != "200 ok" {
				t.Errorf("use %d: %s", i+1, got)
			}
		}
		if got := send(map[string]any{"text": "one more"}); !strings.Contains(got, "404") || !strings.Contains(got, "used_url") {
			t.Errorf("sixth use: %s", got)
		}
		if n, m := len(w.Ephemerals("U0ALICE")), len(w.Channel("C0AWAY")); n != 3 || m != 2 {
			t.Errorf("%d whispered, %d posted", n, m)
		}
		w.clean(t)
		d, err = w.Command("U0ALICE", "C0OPS", "help")
		await(t, d, err)
		if got := send(map[string]any{}); !strings.Contains(got, "no_text") {
			t.Errorf("empty: %s", got)
		}
		time.Sleep(31 * time.Minute) // the bubble's time
		if got := send(map[string]any{"text": "late"}); !strings.Contains(got, "expired_url") {
			t.Errorf("after 31 minutes: %s", got)
		}
	})
}

// TestReactionWithoutItemUser: on messages of response URLs Slack does not say whose they are.
func TestReactionWithoutItemUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{Events: []string{"reaction_added"}})
		var got inbox
		w.serveApp(t, func(rw http.ResponseWriter, r *http.Request) {
			raw := verified(t, w, r)
			if r.URL.Path == "/slack/commands" {
				rw.Header().Set("Content-Type", "application/json")
				fmt.Fprint(rw, `{"response_type":"in_channel","text":"card"}`)
				return
			}
			got.add("item_user sent: %v", bytes.Contains(raw, []byte("item_user")))
		})
		d, err := w.Command("U0ALICE", "C0OPS", "help")
		await(t, d, err)
		if err := w.React("U0BOB", "C0OPS", w.Channel("C0OPS")[0].TS, "x::skin-tone-3"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		got.want(t, "item_user sent: false")
	})
}

func TestMangle(t *testing.T) {
	got := slacksim.Mangle(`es drain n3 --env prod --why "too 'hot'" http://es-1.prod`)
	want := "es\u00a0drain n3 —env prod —why “too ‘hot’” <http://es-1.prod>"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
