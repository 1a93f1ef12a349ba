package main

import (
	"strings"
	"testing"
	"time"
)

// TestDrain is the main job from end to end, over both transports: ask, agree, drain a
// node, watch the thread.
func TestDrain(t *testing.T) {
	for _, transport := range []string{"http", "socket"} {
		t.Run(transport, func(t *testing.T) {
			inWorld(t, transport == "socket", func(t *testing.T, w *world) {
				if err := w.es.PutSettings(foreignFilter); err != nil {
					t.Fatal(err)
				}
				w.start()
				w.command(alice, "/ops es drain n3 --env staging")
				card := w.card()
				w.click(bob, card, "approve")
				w.awaitReply(10*time.Minute, card, "n3 holds no shard")
				w.pass(time.Minute)
				if n := w.es.Shards("n3"); n != 0 {
					t.Errorf("n3 holds %d shards", n)
				}
				if puts := len(w.es.Writes()); puts != 2 {
					t.Errorf("%d writes to the cluster, want 2: %+v", puts, w.es.Writes())
				}
				if t.Failed() || testing.Verbose() {
					t.Logf("the thread:\n%s\n%s", w.transcript(sandboxChannel), w.thread(card)[len(w.thread(card))-1].Blocks)
				}
			})
		})
	}
}

// TestRefusedVoters tries all three ways to vote as the person who asked, and as others
// who may not. (Deactivated people and bots cannot even click here; bot's tests send
// their clicks.)
func TestRefusedVoters(t *testing.T) {
	for _, voter := range []string{alice, gary, dan, other} {
		t.Run(voter, func(t *testing.T) {
			inWorld(t, false, func(t *testing.T, w *world) {
				w.start()
				w.command(alice, "/ops es drain n3")
				card := w.card()
				before := len(w.slack.Ephemerals(voter))
				w.click(voter, card, "approve")
				if err := w.slack.React(voter, card.Channel, card.TS, "white_check_mark"); err != nil {
					t.Fatal(err)
				}
				w.pass(3 * time.Second)
				if voter != other { // slash commands do not show to other workspaces' people
					w.command(voter, "/ops approve "+w.cardID(card))
				}
				w.pass(2 * time.Minute)
				if n := len(w.es.Writes()); n != 0 {
					t.Fatalf("%s started the run: %d writes", voter, n)
				}
				told := w.slack.Ephemerals(voter)[before:]
				if len(told) < 2 {
					t.Errorf("%s was refused without a word", voter)
				}
				for _, e := range told {
					t.Logf("to %s: %s", voter, e.Text)
				}
				if strings.Contains(w.transcript(sandboxChannel), "started") {
					t.Error("the channel says it started")
				}
			})
		})
	}
}
