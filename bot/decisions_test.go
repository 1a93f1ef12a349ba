package bot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/ops"
)

func TestVotesLaunch(t *testing.T) {
	for name, vote := range map[string]func(h *house, r approvals.Request, card bot.Place){
		"button": func(h *house, _ approvals.Request, card bot.Place) {
			_, err := h.slack.Click(bob, card.Channel, card.TS, "approve")
			h.do(err)
		},
		"reaction": func(h *house, _ approvals.Request, card bot.Place) {
			h.do(h.slack.React(bob, card.Channel, card.TS, "white_check_mark"))
		},
		"typed": func(h *house, r approvals.Request, _ bot.Place) {
			h.command(bob, chanOps, "approve "+strings.ToLower(r.ID[len(r.ID)-6:]))
			h.has(h.one(), "You approved: Drain n3 in staging")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				r, card := h.request()
				vote(h, r, card)
				run, err := h.engine.Get(t.Context(), r.ID)
				if err != nil || run.Requester != alice || len(run.Approvers) != 1 || run.Approvers[0] != bob {
					t.Fatalf("run %+v, %v\n%s", run, err, h.log)
				}
				h.silent()
			})
		})
	}
}

func TestDeclineByButtonAndReaction(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		h.do(h.slack.React(bob, card.Channel, card.TS, "x"))
		if r = h.get(r.ID); r.State != approvals.Declined || r.By != bob {
			t.Errorf("request %+v", r)
		}
		_, err := h.slack.Click(bob, card.Channel, card.TS, "approve")
		h.do(err)
		h.has(h.one(), "Too late")
	})
}

// Nobody approves their own request, nor do people Slack says may not, by any of
// the three ways (traps 10, 11, 12). They are told, alone.
func TestVotesRefused(t *testing.T) {
	for who, why := range map[string]string{
		alice: "somebody else must decide",
		carol: "not among those",
		guest: "Guests",
		other: "from another one",
	} {
		t.Run(who, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				r, card := h.request()
				refused := func() {
					t.Helper()
					m := h.one()
					h.has(m, why)
					if m.User != who || m.Act != bot.Whisper && m.Act != bot.Respond {
						t.Errorf("told by %+v, want a word to %s alone", m, who)
					}
					if got := h.get(r.ID); got.State != approvals.Pending || len(got.Votes) != 0 {
						t.Errorf("request %+v", got)
					}
				}
				_, err := h.slack.Click(who, card.Channel, card.TS, "approve")
				h.do(err)
				refused()
				h.do(h.slack.React(who, card.Channel, card.TS, "white_check_mark::skin-tone-3"))
				refused()
				h.say(who, chanOps, h.slack.Mention()+" approve "+r.ID, "")
				if m := h.one(); m.Act != bot.Whisper || m.User != who {
					t.Errorf("told by %+v", m)
				}
				if got := h.get(r.ID); got.State != approvals.Pending || len(got.Votes) != 0 {
					t.Errorf("request %+v", got)
				}
			})
		})
	}
}

// Trap 12: somebody deactivated meanwhile, or out of the group, has no vote.
func TestRightsAreAskedAtTheVote(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		h.slack.FaultDeliveries(slacksim.DeliveryFault{Late: time.Minute})
		h.do(h.slack.React(bob, card.Channel, card.TS, "white_check_mark"))
		h.slack.FaultDeliveries(slacksim.DeliveryFault{})
		h.slack.AddPerson(slacksim.Person{ID: bob, Name: "bob", Deactivated: true})
		time.Sleep(time.Minute)
		h.settle()
		h.has(h.one(), "deactivated")
		h.slack.AddPerson(slacksim.Person{ID: bob, Name: "bob"})
		h.slack.AddGroup(slacksim.Group{ID: "S0SRE", Handle: "sre", Users: []string{carol}})
		_, err := h.slack.Click(bob, card.Channel, card.TS, "approve")
		h.do(err)
		h.has(h.one(), "not among those")
		if got := h.get(r.ID); len(got.Votes) != 0 {
			t.Errorf("votes %+v", got.Votes)
		}
	})
}

// Trap 13: skin tones, reactions on other messages, removal. (The bot's own: TestReceive.)
func TestReactions(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		elsewhere := h.say(carol, chanOps, "lunch?", "")
		h.do(h.slack.React(bob, chanOps, elsewhere, "white_check_mark"))
		h.do(h.slack.React(bob, card.Channel, card.TS, "tada"))
		h.silent()
		if got := h.get(r.ID); got.State != approvals.Pending || len(got.Votes) != 0 {
			t.Fatalf("request %+v", got)
		}
		h.do(h.slack.React(bob, card.Channel, card.TS, "white_check_mark::skin-tone-5"))
		if got := h.get(r.ID); got.State != approvals.Launched {
			t.Errorf("request %+v\n%s", got, h.log)
		}
		h.do(h.slack.Unreact(bob, card.Channel, card.TS, "white_check_mark::skin-tone-5"))
		h.has(h.one(), "launched already")
	})
}

// A reaction that was taken away before its event is handled is no vote, in
// whatever order the events come.
func TestReactionGoneBeforeItIsHandled(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		h.slack.FaultDeliveries(slacksim.DeliveryFault{Late: time.Minute})
		h.do(h.slack.React(bob, card.Channel, card.TS, "white_check_mark"))
		h.do(h.slack.Unreact(bob, card.Channel, card.TS, "white_check_mark"))
		time.Sleep(2 * time.Minute)
		h.settle()
		if got := h.get(r.ID); got.State != approvals.Pending || len(got.Votes) != 0 {
			t.Errorf("request %+v", got)
		}
		h.silent()
	})
}

// A removal that comes late does not withdraw the vote of a reaction put there again.
func TestReactionPutBack(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.engine.class = ops.R3 // two must approve, so the vote stays open
		r, card := h.request()
		h.do(h.slack.React(bob, card.Channel, card.TS, "white_check_mark"))
		votes := func(want int) {
			t.Helper()
			if got := h.get(r.ID); got.State != approvals.Pending || len(got.Votes) != want {
				t.Errorf("request %+v, want %d votes\n%s", got, want, h.log)
			}
		}
		votes(1)
		h.slack.FaultDeliveries(slacksim.DeliveryFault{Late: time.Minute})
		if err := h.slack.Unreact(bob, card.Channel, card.TS, "white_check_mark"); err != nil {
			t.Fatal(err)
		}
		h.slack.FaultDeliveries(slacksim.DeliveryFault{})
		h.do(h.slack.React(bob, card.Channel, card.TS, "white_check_mark"))
		time.Sleep(2 * time.Minute)
		h.settle()
		votes(1)
		h.do(h.slack.Unreact(bob, card.Channel, card.TS, "white_check_mark"))
		votes(0)
		h.silent()
	})
}

// Trap 10: a button counts only on the card of its request, with its digest.
func TestForeignButtons(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, _ := h.request()
		post := func(value string) string {
			_, ts, err := h.client.PostMessageContext(t.Context(), chanOps, slack.MsgOptionText("forged", false),
				slack.MsgOptionBlocks(slack.NewActionBlock("votes", slack.NewButtonBlockElement("approve", value, slack.NewTextBlockObject(slack.PlainTextType, "ok", false, false)))))
			h.do(err)
			return ts
		}
		unknown := post(r.ID + ":" + r.Digest)
		stale := post(r.ID + ":" + strings.Repeat("0", 64))
		h.posts.note("card:"+r.ID, bot.Place{Channel: chanOps, TS: stale})
		for ts, want := range map[string]string{unknown: "no request I know", stale: "does not match"} {
			_, err := h.slack.Click(bob, chanOps, ts, "approve")
			h.do(err)
			m := h.one()
			h.has(m, want)
			if m.Act != bot.Whisper || m.User != bob {
				t.Errorf("told by %+v", m)
			}
		}
		if got := h.get(r.ID); len(got.Votes) != 0 {
			t.Errorf("votes %+v", got.Votes)
		}
	})
}

// Trap 10: double clicks are one vote, and the second is no error.
func TestDoubleClick(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		for range 2 {
			if _, err := h.slack.Click(bob, card.Channel, card.TS, "approve"); err != nil {
				t.Fatal(err)
			}
		}
		h.settle()
		if got := h.get(r.ID); got.State != approvals.Launched || len(got.Votes) != 1 {
			t.Errorf("request %+v", got)
		}
		h.silent()
	})
}

// Trap 10: a click on a card whose place is not noted yet (a lost reply of Slack's)
// is counted once it is.
func TestClickBeforeThePlaceIsKnown(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		h.posts.note("card:"+r.ID, bot.Place{})
		d, err := h.slack.Click(bob, card.Channel, card.TS, "approve")
		if err != nil || d.Wait(t.Context()) != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		h.posts.note("card:"+r.ID, card)
		h.settle()
		if got := h.get(r.ID); got.State != approvals.Launched {
			t.Errorf("request %+v\n%s", got, h.log)
		}
	})
}

func TestCancelPauseResume(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		h.command(alice, chanOps, "pause "+r.ID)
		h.has(h.one(), "is pending; there is no run")
		h.command(carol, chanOps, "cancel "+r.ID)
		h.has(h.one(), "who asked for it, and its approvers")
		_, err := h.slack.Click(bob, card.Channel, card.TS, "approve")
		h.do(err)
		for verb, says := range map[string]string{"pause": "Pausing", "resume": "Resuming", "cancel": "Cancelling"} {
			h.engine.asked = nil
			h.command(carol, chanOps, verb+" "+r.ID)
			h.has(h.one(), "who asked for it, and its approvers")
			h.command(bob, chanOps, verb+" "+r.ID)
			h.has(h.one(), says+": Drain n3 in staging")
			if len(h.engine.asked) != 1 || h.engine.asked[0] != verb+" "+r.ID+" "+bob {
				t.Errorf("asked %v", h.engine.asked)
			}
		}
		run := h.engine.runs[r.ID]
		run.State = ops.Succeeded
		h.engine.runs[r.ID] = run
		h.command(alice, chanOps, "cancel "+r.ID)
		h.has(h.one(), "has ended (done)")
	})
}

func TestCancelBeforeLaunch(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, _ := h.request()
		h.command(alice, chanOps, "cancel "+r.ID+" wrong node")
		h.has(h.one(), "Cancelled: Drain n3 in staging", "Nothing had been started")
		if got := h.get(r.ID); got.State != approvals.Cancelled || got.Reason != "wrong node" {
			t.Errorf("request %+v", got)
		}
	})
}

func TestIDs(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, _ := h.request()
		for typed, want := range map[string]string{
			"ab":                                "at least the last 5 characters",
			"NOSUCHID":                          "No request or run ends in `NOSUCHID`",
			strings.ToLower(r.ID[len(r.ID)-5:]): "Drain n3",
		} {
			h.command(alice, chanOps, "show "+typed)
			h.has(h.one(), want)
		}
	})
}

func TestHelpEnvList(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.request()
		for typed, want := range map[string]string{
			"":                 "/ops",
			"help es drain":    "es drain",
			"help es drain es": "es drain",
			"env":              "*staging* (the default)",
			"list":             "Drain n3",
		} {
			h.command(alice, chanOps, typed)
			m := h.one()
			if !strings.Contains(m.Text+string(m.Blocks), want) {
				t.Errorf("%q: said %q %s, want %q", typed, m.Text, m.Blocks, want)
			}
		}
	})
}
