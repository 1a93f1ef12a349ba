package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot"
	"twokey/bot/botredis"
	"twokey/bot/slacksim"
	"twokey/ops/elastic"
)

// expose starts a bot whose HTTP side a test can reach as an attacker can; change, if not
// nil, has the last word on its parts.
func (w *world) expose(change func(*Parts)) (client *http.Client, stop func()) {
	w.t.Helper()
	ln, dial := slacksim.Pipe()
	transport := &http.Transport{DialContext: dial}
	client = &http.Client{Transport: transport}
	es, err := elastic.Connect(elastic.Settings{URLs: []string{"http://n1:9200"}, Transport: w.es.RoundTripper()})
	if err != nil {
		w.t.Fatal(err)
	}
	p := Parts{
		Config: w.config, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Redis:    &redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return w.redis.Dial() }},
		Slack:    SlackAccess{BotToken: w.slack.Options().BotToken, APIURL: w.slack.URL() + "/api/"},
		Clusters: map[string]elastic.Cluster{sandboxEnvironment: {Environment: sandboxEnvironment, Client: es}},
		Listener: ln, HTTP: w.http, RedisHook: w.hook,
	}
	if w.socket {
		p.Slack.AppToken = w.slack.Options().AppToken
	} else {
		p.Slack.SigningSecret = w.slack.Options().Secret
		w.slack.UseHTTP("http://twokey.test", client)
	}
	if change != nil {
		change(&p)
	}
	app, err := NewApp(w.t.Context(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the bot stopped with: %v", err)
		}
		transport.CloseIdleConnections()
	})
	w.t.Cleanup(stop)
	w.pass(2 * time.Second)
	return client, stop
}

// signed makes a request as Slack signs it at this moment.
func (w *world) signed(path string, form url.Values) *http.Request {
	w.t.Helper()
	body, stamp := form.Encode(), strconv.FormatInt(time.Now().Unix(), 10)
	r, err := http.NewRequest(http.MethodPost, "http://twokey.test"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(w.slack.Options().Secret))
	fmt.Fprintf(mac, "v0:%s:%s", stamp, body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

// send sends a request, again if it was sent before, and returns the status.
func (w *world) send(client *http.Client, r *http.Request) int {
	w.t.Helper()
	r = r.Clone(w.t.Context())
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			w.t.Fatal(err)
		}
		r.Body = body
	}
	res, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		w.t.Fatal(err)
	}
	w.pass(3 * time.Second)
	return res.StatusCode
}

// press is the payload of a click, as Slack makes it of what the attacker controls or not.
func press(user, team, channel, ts, value, at string) url.Values {
	payload := map[string]any{
		"type": "block_actions", "api_app_id": "A0TWOKEY", "user": map[string]any{"id": user, "team_id": team},
		"container": map[string]any{"type": "message", "channel_id": channel, "message_ts": ts}, "channel": map[string]any{"id": channel},
		"actions": []any{map[string]any{"type": "button", "action_id": "approve", "value": value, "action_ts": at}},
	}
	b, err := json.Marshal(payload)
	if err != nil {
		panic(err) // strings always encode
	}
	return url.Values{"payload": {string(b)}}
}

// value is what a card's buttons carry: id and beginning of the digest.
func (w *world) value(card slacksim.Message) string {
	w.t.Helper()
	_, rest, ok := strings.Cut(string(card.Blocks), `"value":"`)
	value, _, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 {
		w.t.Fatalf("no value on the card: %s", card.Blocks)
	}
	return value
}

// untouched fails the test if anything was written to the cluster.
func (w *world) untouched(after string) {
	w.t.Helper()
	w.pass(10 * time.Second)
	if n := len(w.es.Writes()); n > 0 {
		w.t.Fatalf("%d writes after %s\n%s\n%s", n, after, w.transcript(sandboxChannel), w.private())
	}
}

// quorum sets how many must approve a drain.
func (w *world) quorum(n int) {
	e := w.config.Environments[sandboxEnvironment]
	e.Quorum = map[string]int{"R2": n}
	w.config.Environments = map[string]EnvironmentConfig{sandboxEnvironment: e}
}

// runs waits for the first write: the quorum was there after all.
func (w *world) runs() {
	w.t.Helper()
	w.await(time.Minute, "write", func() bool { return len(w.es.Writes()) > 0 })
}

// ask asks for a drain and returns its card.
func (w *world) ask(user, node string) slacksim.Message {
	w.t.Helper()
	before := len(w.slack.Channel(sandboxChannel))
	w.command(user, "/ops es drain "+node)
	w.await(time.Minute, "card", func() bool { return len(w.slack.Channel(sandboxChannel)) > before })
	return w.card()
}

// TestForgedClicks sends clicks that Slack signed but whose card, value or person are not
// what they should be.
func TestForgedClicks(t *testing.T) {
	inWorld(t, false, func(t *testing.T, w *world) {
		w.slack.AddGroup(slacksim.Group{ID: sandboxGroup, Handle: "sre", Name: "SRE", Users: []string{alice, bob, carol, gary, other}})
		client, _ := w.expose(nil)
		card, theirs := w.ask(alice, "n3"), w.ask(carol, "n2")
		value := w.value(card)
		id, digest, _ := strings.Cut(value, ":")
		flipped := "0"
		if strings.HasPrefix(digest, "0") {
			flipped = "1"
		}
		said, err := w.slack.Say(bob, sandboxChannel, "looks good", "")
		if err != nil {
			t.Fatal(err)
		}
		clicks := []struct{ what, user, team, channel, ts, value string }{
			{"another digest", bob, sandboxTeam, sandboxChannel, card.TS, id + ":" + flipped + digest[1:]},
			{"another digest of the same beginning", bob, sandboxTeam, sandboxChannel, card.TS, value + "f"},
			{"no digest", bob, sandboxTeam, sandboxChannel, card.TS, id},
			{"an empty digest", bob, sandboxTeam, sandboxChannel, card.TS, id + ":"},
			{"one letter of the digest", bob, sandboxTeam, sandboxChannel, card.TS, id + ":" + digest[:1]},
			{"no value", bob, sandboxTeam, sandboxChannel, card.TS, ""},
			{"the other card's value", bob, sandboxTeam, sandboxChannel, card.TS, w.value(theirs)},
			{"the value on the other card", bob, sandboxTeam, sandboxChannel, theirs.TS, value},
			{"a message of somebody", bob, sandboxTeam, sandboxChannel, said, value},
			{"another channel", bob, sandboxTeam, "C0RANDOM", card.TS, value},
			{"no message", bob, sandboxTeam, "", "", value},
			{"the requester", alice, sandboxTeam, sandboxChannel, card.TS, value},
			{"no approver", dan, sandboxTeam, sandboxChannel, card.TS, value},
			{"a guest", gary, sandboxTeam, sandboxChannel, card.TS, value},
			{"another workspace's", other, "T0OTHER", sandboxChannel, card.TS, value},
			{"another workspace's that says it is ours", other, sandboxTeam, sandboxChannel, card.TS, value},
			{"nobody Slack knows", "U0NOBODY", sandboxTeam, sandboxChannel, card.TS, value},
			{"the bot", w.slack.Options().BotUser, sandboxTeam, sandboxChannel, card.TS, value},
		}
		for i, c := range clicks {
			at := fmt.Sprintf("%d.%06d", time.Now().Unix(), i+1)
			if status := w.send(client, w.signed("/slack/interactions", press(c.user, c.team, c.channel, c.ts, c.value, at))); status != http.StatusOK {
				t.Errorf("%s: status %d", c.what, status)
			}
			w.untouched(c.what)
		}
		w.pass(5 * time.Minute) // what waits for a card to be noted
		w.untouched("all of them")
		unsigned := w.signed("/slack/interactions", press(bob, sandboxTeam, sandboxChannel, card.TS, value, "2.1"))
		unsigned.Header.Set("X-Slack-Signature", "v0="+strings.Repeat("0", 64))
		if status := w.send(client, unsigned); status != http.StatusUnauthorized {
			t.Errorf("not signed: status %d", status)
		}
		w.untouched("a click nobody signed")
		w.send(client, w.signed("/slack/interactions", press(bob, sandboxTeam, sandboxChannel, card.TS, value, "3.1")))
		w.runs() // the right one
	})
}

// TestReplaysAndRefused wants two approvals and gets many of one person, by every way and
// replayed, and many of people who may not vote.
func TestReplaysAndRefused(t *testing.T) {
	inWorld(t, false, func(t *testing.T, w *world) {
		w.quorum(2)
		// The requester is an approver, and not all that the group names are full members.
		w.slack.AddGroup(slacksim.Group{ID: sandboxGroup, Handle: "sre", Name: "SRE", Users: []string{alice, bob, carol, gary, other}})
		client, _ := w.expose(nil)
		card := w.ask(alice, "n3")
		id := w.cardID(card)
		r := w.signed("/slack/interactions", press(bob, sandboxTeam, sandboxChannel, card.TS, w.value(card), "1.1"))
		for range 3 {
			if status := w.send(client, r); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
		}
		w.untouched("one click three times")
		w.slack.FaultDeliveries(slacksim.DeliveryFault{Again: true, NewEventID: true})
		react := func(user string, emoji ...string) {
			t.Helper()
			for _, e := range emoji {
				if err := w.slack.React(user, card.Channel, card.TS, e); err != nil {
					t.Fatal(err)
				}
				w.pass(3 * time.Second)
			}
		}
		react(bob, "white_check_mark", "white_check_mark::skin-tone-2", "white_check_mark::skin-tone-6")
		w.command(bob, "/ops approve "+id)
		w.command(bob, "/ops approve "+strings.ToLower(id[len(id)-5:]))
		w.untouched("one person by every way")
		for _, user := range []string{alice, dan, gary, other} {
			react(user, "white_check_mark", "white_check_mark::skin-tone-4")
			if user != other { // who sees no commands of this workspace
				for _, form := range []string{id, id[len(id)-5:], "`" + id + "`", strings.ToLower(id[len(id)-8:])} {
					w.command(user, "/ops approve "+form)
				}
			}
			if _, err := w.slack.Say(user, sandboxChannel, w.slack.Mention()+" approve "+id, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := w.slack.Say(user, w.slack.DM(user), "approve "+id, ""); err != nil {
				t.Fatal(err)
			}
			w.untouched("all ways of " + user)
			if got := w.private() + w.transcript(w.slack.DM(user)); !strings.Contains(got, "to "+user) && !strings.Contains(got, w.slack.Options().BotUser) {
				t.Errorf("%s was told nothing", user)
			}
		}
		w.pass(6 * time.Minute)
		if status := w.send(client, r); status != http.StatusUnauthorized {
			t.Errorf("replayed after six minutes: status %d", status)
		}
		w.untouched("a late replay")
		w.slack.FaultDeliveries(slacksim.DeliveryFault{})
		react(carol, "white_check_mark")
		w.runs()
	})
}

// TestRevokedBetweenVotes takes the first voter's right away before the second votes.
func TestRevokedBetweenVotes(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		w.quorum(2)
		w.expose(nil)
		card := w.ask(alice, "n3")
		w.click(bob, card, "approve")
		w.slack.AddGroup(slacksim.Group{ID: sandboxGroup, Handle: "sre", Name: "SRE", Users: []string{carol, dan}})
		w.click(carol, card, "approve")
		w.untouched("a vote of one who left the group")
		if got := w.private(); !strings.Contains(got, "<@"+bob+">") {
			t.Errorf("carol was not told that bob's vote does not count:\n%s", got)
		}
		w.click(dan, card, "approve")
		w.runs()
	})
}

// TestEndedStaysEnded votes on requests that were declined, cancelled, expired or superseded.
func TestEndedStaysEnded(t *testing.T) {
	for name, end := range map[string]func(w *world, card slacksim.Message){
		"declined":  func(w *world, card slacksim.Message) { w.click(bob, card, "decline") },
		"cancelled": func(w *world, card slacksim.Message) { w.command(alice, "/ops cancel "+w.cardID(card)) },
		"expired":   func(w *world, card slacksim.Message) { w.pass(5 * time.Minute) },
		"superseded": func(w *world, card slacksim.Message) {
			w.es.AddIndex("thirsty", 1, 3, 1<<20) // yellow now
			w.click(bob, card, "approve")
			w.awaitReply(time.Minute, card, "yellow")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, false, func(t *testing.T, w *world) {
				w.config.Defaults.Expires = 5 * time.Minute
				client, _ := w.expose(nil)
				card := w.ask(alice, "n3")
				id, value := w.cardID(card), w.value(card)
				end(w, card)
				w.pass(10 * time.Second)
				for i, user := range []string{bob, carol} {
					w.send(client, w.signed("/slack/interactions", press(user, sandboxTeam, card.Channel, card.TS, value, fmt.Sprintf("9.%d", i))))
					if err := w.slack.React(user, card.Channel, card.TS, "white_check_mark"); err != nil {
						t.Fatal(err)
					}
					w.command(user, "/ops approve "+id)
				}
				w.untouched("votes on what was " + name)
				for _, user := range []string{bob, carol} {
					if len(w.slack.Ephemerals(user)) == 0 && name != "superseded" {
						t.Errorf("%s was told nothing", user)
					}
				}
			})
		})
	}
}

// TestTightenedPolicy starts the bot again with a quorum of two when a card already asks
// for one.
func TestTightenedPolicy(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		_, stop := w.expose(nil)
		card := w.ask(alice, "n3")
		stop()
		w.quorum(2)
		w.expose(nil)
		w.click(bob, card, "approve")
		w.untouched("one approval of two")
		w.click(carol, card, "approve")
		w.runs()
	})
}

// TestHostileTexts says to the bot what might break its parser or echo to everyone. Each
// is answered, none makes a request, and no answer calls anybody.
func TestHostileTexts(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		w.expose(nil)
		for i, text := range []string{
			"es drain \"n3", "es drain 'n3 <!channel>", "es drain <!here>", "es drain n3 --env <!everyone>", "<!channel> es drain n3",
			"es drain n3 --confirm", "es drain -- --env", "es drain \x00\x01", strings.Repeat("\"", 3999),
			strings.Repeat("a ", 1999), "approve <@" + bob + ">", "approve *****", "approve %%%%%", "decline 00000 <!channel>",
			"```es drain n3\n```<!here>", "es drain <https://n3|n3 <!channel>>", "&lt;!channel&gt;", "es drain n3&#10;", "show ../../..", "show \r\n\r\n",
		} {
			before := len(w.slack.Channel(sandboxChannel))
			ts, err := w.slack.Say(alice, sandboxChannel, w.slack.Mention()+" "+text, "")
			if err != nil {
				t.Fatal(err)
			}
			private := len(w.slack.Ephemerals(alice))
			w.await(time.Minute, fmt.Sprintf("answer to %q", text), func() bool {
				return len(w.slack.Thread(sandboxChannel, ts)) > 1 || len(w.slack.Ephemerals(alice)) > private
			})
			if n := len(w.slack.Channel(sandboxChannel)); n != before+1 {
				t.Errorf("%d: %d posts outside the thread", i, n-before-1)
			}
			for _, m := range w.slack.Thread(sandboxChannel, ts)[1:] {
				if said := m.Text + string(m.Blocks); strings.Contains(said, "<!") || strings.Contains(said, `\u003c!`) || strings.Contains(said, "<@"+bob) {
					t.Errorf("%q is answered with a call: %s", text, said)
				}
				if bytes.Contains(m.Blocks, []byte(`"approve"`)) {
					t.Errorf("%q made a request: %s", text, m.Text)
				}
			}
		}
		w.untouched("hostile texts")
	})
}

// noScripts makes Redis forget all scripts before each script is called, as one does that
// was restarted.
type noScripts struct{ points }

func (*noScripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			if err := next(ctx, redis.NewStatusCmd(ctx, "script", "flush")); err != nil {
				return err
			}
		}
		return next(ctx, cmd)
	}
}

// TestRedisForgetsScripts drains a node on a Redis that knows no script at any time.
func TestRedisForgetsScripts(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		w.hook = &noScripts{}
		w.expose(nil)
		card := w.ask(alice, "n3")
		w.click(bob, card, "approve")
		w.awaitReply(10*time.Minute, card, ":white_check_mark: Done")
	})
}

// TestNobodyIsForgotten lets the handling of what was acknowledged fail for as long as it may, in
// each way: the person must be told within 17 minutes, once.
func TestNobodyIsForgotten(t *testing.T) {
	broken := slacksim.Fault{Status: http.StatusInternalServerError, Times: -1}
	told := func(w *world, user, what string) {
		w.t.Helper()
		w.await(17*time.Minute, "word to "+user, func() bool {
			return slices.ContainsFunc(w.slack.Ephemerals(user), func(e slacksim.Ephemeral) bool { return strings.Contains(e.Text, what) })
		})
		n := len(w.slack.Ephemerals(user))
		w.pass(5 * time.Minute)
		if again := len(w.slack.Ephemerals(user)); again != n {
			w.t.Errorf("told %d times more", again-n)
		}
	}
	t.Run("Slack does not say who it is", func(t *testing.T) {
		inWorld(t, true, func(t *testing.T, w *world) {
			w.expose(nil)
			broken.Method = "users.info"
			w.slack.Fault(broken)
			w.command(alice, "/ops es drain n3")
			told(w, alice, "could not finish it")
		})
	})
	t.Run("Slack hangs", func(t *testing.T) {
		inWorld(t, true, func(t *testing.T, w *world) {
			w.expose(nil)
			w.slack.Fault(slacksim.Fault{Method: "users.info", Delay: time.Hour, Times: -1})
			w.command(alice, "/ops es drain n3")
			told(w, alice, "could not finish it")
		})
	})
	t.Run("Slack does not say who reacted", func(t *testing.T) {
		inWorld(t, true, func(t *testing.T, w *world) {
			w.expose(nil)
			card := w.ask(alice, "n3")
			broken.Method = "reactions.get"
			w.slack.Fault(broken)
			if err := w.slack.React(bob, card.Channel, card.TS, "white_check_mark"); err != nil {
				t.Fatal(err)
			}
			told(w, bob, "could not finish it")
			w.untouched("a vote that could not be checked")
		})
	})
	t.Run("a card is not noted for a minute", func(t *testing.T) {
		inWorld(t, true, func(t *testing.T, w *world) {
			w.expose(nil)
			w.slack.Fault(slacksim.Fault{Method: "chat.postMessage", DropReply: true})
			w.slack.Fault(slacksim.Fault{Method: "conversations.history", Skip: 1, Status: http.StatusBadGateway, Times: 5})
			card := w.ask(alice, "n3")
			if err := w.slack.React(bob, card.Channel, card.TS, "white_check_mark"); err != nil {
				t.Fatal(err)
			}
			w.await(3*time.Minute, "write", func() bool { return len(w.es.Writes()) > 0 })
		})
	})
	t.Run("the handler panics", func(t *testing.T) {
		inWorld(t, true, func(t *testing.T, w *world) {
			w.expose(func(p *Parts) {
				client, err := elastic.Connect(elastic.Settings{URLs: []string{"http://n1:9200"}, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					panic("a mistake in the code")
				})})
				if err != nil {
					t.Fatal(err)
				}
				p.Clusters[sandboxEnvironment] = elastic.Cluster{Environment: sandboxEnvironment, Client: client}
			})
			w.command(alice, "/ops es drain n3")
			told(w, alice, "")
		})
	})
	t.Run("processes die of it", func(t *testing.T) {
		inWorld(t, true, func(t *testing.T, w *world) {
			rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return w.redis.Dial() }})
			defer rdb.Close()
			inbox := botredis.NewInbox(rdb)
			payload := fmt.Sprintf(`{"via":"command","user":%q,"channel":%q,"text":"es drain n3"}`, alice, sandboxChannel)
			if _, err := inbox.Accept(t.Context(), bot.Item{Key: "command:1.1", Kind: "command", Payload: []byte(payload), Received: time.Now()}); err != nil {
				t.Fatal(err)
			}
			for n := range 35 { // each a process that takes it and is never heard of again
				if _, ok, err := inbox.Take(t.Context(), 0); !ok || err != nil {
					t.Fatal(n, ok, err)
				}
			}
			w.expose(nil)
			told(w, alice, "could not finish it")
			if strings.Contains(w.transcript(sandboxChannel), "Drain") {
				t.Error("it was tried once more")
			}
		})
	})
}
