package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/bot/slacksim"
)

// TestSuperseded changes the cluster between plan and start: nothing may be written, and
// people are asked again, on a new card without the old votes.
func TestSuperseded(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		w.start()
		w.command(alice, "/ops es drain n3")
		first := w.card()
		w.es.AddIndex("thirsty", 1, 3, 1<<20) // four copies on three nodes: yellow
		w.click(bob, first, "approve")
		w.awaitReply(time.Minute, first, "yellow")
		second := w.card()
		if second.TS == first.TS {
			t.Fatal("no new card")
		}
		w.pass(time.Minute)
		if n := len(w.es.Writes()); n != 0 {
			t.Fatalf("%d writes before anybody agreed again", n)
		}
		if strings.Contains(string(second.Blocks), "approved by") {
			t.Errorf("the new card carries a vote: %s", second.Blocks)
		}
		w.click(bob, second, "approve")
		w.await(time.Minute, "write", func() bool { return len(w.es.Writes()) > 0 })
	})
}

// TestControl pauses, resumes and cancels a drain that cannot end; the settings are as
// before, text for text.
func TestControl(t *testing.T) {
	inWorld(t, false, func(t *testing.T, w *world) {
		w.es.AddIndex("everywhere", 1, 2, 1<<20) // a copy on every node: n3's cannot leave
		if err := w.es.PutSettings(foreignFilter); err != nil {
			t.Fatal(err)
		}
		before := w.settings()
		w.start()
		w.command(alice, "/ops es drain n3")
		card := w.card()
		if err := w.slack.React(carol, card.Channel, card.TS, "white_check_mark::skin-tone-3"); err != nil {
			t.Fatal(err)
		}
		w.awaitReply(5*time.Minute, card, "cannot leave")
		id := w.cardID(card)
		w.command(dan, "/ops pause "+id)
		w.await(time.Minute, "refusal", func() bool { return len(w.slack.Ephemerals(dan)) > 0 })
		w.command(bob, "/ops pause "+id[len(id)-6:])
		w.awaitReply(time.Minute, card, "Paused by")
		w.command(alice, "/ops resume "+strings.ToLower(id[len(id)-5:]))
		w.awaitReply(time.Minute, card, "Resumed by")
		w.command(alice, "/ops cancel "+id)
		w.awaitReply(2*time.Minute, card, ": Cancelled")
		if got := w.settings(); got != before {
			t.Errorf("settings after:\n%s\nbefore:\n%s", got, before)
		}
		if f := w.es.Filter("exclude"); len(f["_name"]) > 0 || !slices.Equal(f["zone"], []string{"retired"}) {
			t.Errorf("filters in effect: %v", f)
		}
		t.Logf("the thread:\n%s", w.transcript(sandboxChannel))
	})
}

// TestPlaces asks by mention, in a direct message, where the bot is no member, and in a
// channel that is not for the environment.
func TestPlaces(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		w.start()
		ts, err := w.slack.Say(alice, sandboxChannel, w.slack.Mention()+" es drain n3 —env staging", "")
		if err != nil {
			t.Fatal(err)
		}
		inThread := func() (card slacksim.Message) {
			for _, m := range w.slack.Thread(sandboxChannel, ts)[1:] {
				if strings.Contains(string(m.Blocks), `"approve"`) {
					card = m
				}
			}
			return card
		}
		w.await(time.Minute, "card in the mention's thread", func() bool { return inThread().TS != "" })
		w.click(bob, inThread(), "decline")
		w.await(time.Minute, "word that it was declined", func() bool { return strings.Contains(w.transcript(sandboxChannel), "eclined") })

		if _, err := w.slack.Say(alice, w.slack.DM(alice), "es drain n2", ""); err != nil {
			t.Fatal(err)
		}
		card := w.card()
		if !strings.Contains(string(card.Blocks), "n2") {
			t.Errorf("the card of the direct message: %s", card.Blocks)
		}

		for _, channel := range []string{"C0RANDOM"} {
			d, err := w.slack.Command(alice, channel, "/ops es drain n1")
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.await(time.Minute, "refusal that names the right channel", func() bool {
				return slices.ContainsFunc(w.slack.Ephemerals(alice), func(e slacksim.Ephemeral) bool {
					return e.Channel == channel && strings.Contains(e.Text, "<#"+sandboxChannel)
				})
			})
		}
		w.command(alice, "/ops es halth")
		w.await(time.Minute, "did-you-mean", func() bool { return strings.Contains(w.private(), "es health") })
		w.command(alice, "/ops es shards n3")
		w.await(time.Minute, "answer", func() bool { return strings.Contains(w.private(), "n3 in staging: 3 shards") })
		t.Logf("privately:\n%s", w.private())
	})
}

// TestSlackTrouble lets Slack answer 429, 500, nothing, and late, for a minute in the middle
// of a drain: afterwards everything is said, once.
func TestSlackTrouble(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		w.start()
		w.command(alice, "/ops es drain n3")
		card := w.card()
		for _, f := range []slacksim.Fault{
			{Method: "chat.postMessage", DropReply: true},
			{Method: "chat.postMessage", Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second, Times: 2},
			{Method: "chat.postMessage", Status: http.StatusInternalServerError, Times: 3},
			{Method: "chat.postMessage", DropReply: true},
			{Method: "chat.postMessage", DelayReply: time.Minute},
			{Method: "chat.update", Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Second},
			{Method: "chat.update", Status: http.StatusBadGateway, Times: 2},
			{Method: "chat.update", DropReply: true, Times: 2},
		} {
			w.slack.Fault(f)
		}
		w.click(bob, card, "approve")
		w.pass(time.Minute)
		w.slack.ClearFaults()
		w.awaitReply(10*time.Minute, card, ":white_check_mark: Done")
		w.pass(2 * time.Minute)
		seen := make(map[string]int)
		for _, m := range w.slack.Thread(card.Channel, card.TS) {
			seen[string(m.Metadata)]++
		}
		for key, n := range seen {
			if n > 1 {
				t.Errorf("posted %d times: %s", n, key)
			}
		}
		replies := w.thread(card)
		if len(replies) != 3 { // status, started, done
			t.Errorf("%d replies, want 3", len(replies))
		}
		if last := replies[len(replies)-1]; !strings.Contains(last.Text, "Done") {
			t.Errorf("the last reply is %q", last.Text)
		}
		early, spoiled := 0, 0
		for _, c := range w.slack.Calls() {
			if c.Early {
				early++
			}
			if c.Error != "" || c.Status != http.StatusOK {
				spoiled++
			}
		}
		if early > 0 {
			t.Errorf("%d calls came before Retry-After was over", early)
		}
		t.Logf("figure: %d of %d calls of Slack spoiled within a minute; %d replies, none lost, none doubled", spoiled, len(w.slack.Calls()), len(replies))
	})
}

// TestHeld asks for a second drain of the cluster while the first one runs: refused, and
// told who holds it. One that was asked before and is approved now ends without a write.
func TestHeld(t *testing.T) {
	inWorld(t, true, func(t *testing.T, w *world) {
		w.es.AddIndex("everywhere", 1, 2, 1<<20)
		w.start()
		w.command(alice, "/ops es drain n2")
		early := w.card()
		w.command(alice, "/ops es drain n3")
		w.await(time.Minute, "second card", func() bool { return w.card().TS != early.TS })
		card := w.card()
		w.click(bob, card, "approve")
		w.await(time.Minute, "write", func() bool { return len(w.es.Writes()) > 0 })
		writes := len(w.es.Writes())

		w.command(carol, "/ops es drain n2")
		id := w.cardID(card)
		w.await(time.Minute, "refusal that names the holder", func() bool {
			return slices.ContainsFunc(w.slack.Ephemerals(carol), func(e slacksim.Ephemeral) bool {
				return strings.Contains(e.Text, id[len(id)-6:]) && strings.Contains(e.Text, "Drain n3 in staging")
			})
		})
		w.click(bob, early, "approve")
		w.awaitReply(time.Minute, early, "Drain n3 in staging")
		if n := len(w.es.Writes()); n != writes {
			t.Errorf("%d writes by a run without the lock", n-writes)
		}
		t.Logf("privately:\n%s\n%s", w.private(), w.transcript(sandboxChannel))
	})
}
