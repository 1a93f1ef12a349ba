package bot_test

import (
	"strings"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/ops"
)

func TestCommandBecomesRequest(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, _ := h.request()
		if r.Requester != alice || r.Environment != "staging" || r.Class != "R2" || r.State != approvals.Pending {
			t.Errorf("request %+v", r)
		}
		h.silent() // the card is the answer
		o, ok, _ := h.threads.Origin(t.Context(), r.ID)
		if !ok || o.Via != "command" || o.Channel != chanOps || o.Thread != "" || o.Text != "es drain n3 --env staging" {
			t.Errorf("origin %+v", o)
		}
	})
}

func TestMentionStaysInItsThread(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ts := h.say(alice, chanOps, h.slack.Mention()+" es health", "")
		m := h.one()
		h.has(m, "staging: green")
		if m.Act != bot.Post || m.Channel != chanOps || m.Thread != ts {
			t.Errorf("answered by %+v, want a post under %s", m, ts)
		}
		h.say(alice, chanOps, h.slack.Mention()+" es drain n3", ts)
		open, err := h.approvals.Open(t.Context())
		if err != nil || len(open) != 1 {
			t.Fatal(open, err)
		}
		if o, _, _ := h.threads.Origin(t.Context(), open[0].ID); o.Thread != ts || o.Channel != chanOps || o.Via != "mention" {
			t.Errorf("origin %+v, want thread %s", o, ts)
		}
	})
}

func TestMentionNotLeading(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.say(alice, chanOps, "thanks "+h.slack.Mention()+" es drain n3", "")
		m := h.one()
		if m.Act != bot.Whisper || m.User != alice {
			t.Errorf("said %+v, want a whisper", m)
		}
		h.has(m, "begin with my name", "Nothing was started")
	})
}

// Trap 14: a direct message has no app_mention, and its card goes to announce.
func TestDirectMessage(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		dm := h.slack.DM(alice)
		h.say(alice, dm, "es health", "")
		if m := h.one(); m.Act != bot.Post || m.Channel != dm {
			t.Errorf("answered by %+v, want a post in %s", m, dm)
		}
		h.say(alice, dm, "es drain n3 --env prod", "")
		h.has(h.one(), "Asked: Drain n3 in prod", "<#"+chanOps+">")
		open, _ := h.approvals.Open(t.Context())
		if len(open) != 1 {
			t.Fatalf("open: %v", open)
		}
		if o, _, _ := h.threads.Origin(t.Context(), open[0].ID); o.Channel != chanOps || o.Via != "dm" || o.Thread != "" {
			t.Errorf("origin %+v", o)
		}
	})
}

func TestChannelOfAnotherEnvironment(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.command(alice, chanOps, "es drain n3 --env prod")
		h.has(h.one(), "may not be typed here", "<#"+chanProd+">", "Nothing was started")
		h.command(alice, chanProd, "es drain n3 --env prod")
		h.silent()
		if open, _ := h.approvals.Open(t.Context()); len(open) != 1 {
			t.Errorf("open: %v", open)
		}
	})
}

// Trap 15: where the bot is absent only the response_url works.
func TestCommandWhereBotIsAbsent(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.command(alice, chanX, "es drain n3")
		m := h.one()
		if m.Act != bot.Respond || m.URL == "" {
			t.Errorf("answered by %+v, want a response_url", m)
		}
		h.has(m, "I am not in <#"+chanX+">", "Nothing was started")
		if open, _ := h.approvals.Open(t.Context()); len(open) != 0 || h.engine.planned() != 0 {
			t.Errorf("open: %v; planned %d times", open, h.engine.planned())
		}
		h.command(alice, chanX, "es health") // an answer needs no membership
		h.has(h.one(), "staging: green")
	})
}

// Traps 11 and 12: who may ask is asked of Slack, whatever the payload says.
func TestStrangersGetNoAnswer(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for who, why := range map[string]string{guest: "Guests", other: "another one"} {
			h.say(who, chanOps, h.slack.Mention()+" es health", "")
			m := h.one()
			if m.Act != bot.Whisper || m.User != who {
				t.Errorf("%s was answered by %+v, want a whisper", who, m)
			}
			h.has(m, why)
			if strings.Contains(m.Text, "green") {
				t.Errorf("%s read %q", who, m.Text)
			}
		}
		h.say(ci, chanOps, h.slack.Mention()+" es drain n3", "")
		h.silent()
		if h.engine.planned() != 0 {
			t.Error("planned for a stranger")
		}
	})
}

func TestConfirmOfR3(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.engine.confirm = "n3"
		h.command(alice, chanOps, "es drain n3")
		h.has(h.one(), "--confirm n3", "Nothing was started")
		if open, _ := h.approvals.Open(t.Context()); len(open) != 0 {
			t.Errorf("open: %v", open)
		}
	})
}

func TestErrorsOfPlanning(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"for people": {&ops.UserError{What: "staging has no node <n3>", Next: "Nodes: n1, n2.", Err: errSecret}, []string{"staging has no node &lt;n3&gt;", "Nodes: n1, n2."}},
		"held":       {&ops.HeldError{Resource: "cluster staging", Run: "01HZZZZZZZZZZZZZZZZZZ7Q2MK", Title: "Drain n1", By: bob}, []string{"Drain n1", "<@" + bob + ">", "ZZ7Q2MK"[1:]}},
		"unknown":    {errSecret, []string{"error `"}},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.engine.err = c.err
				h.command(alice, chanOps, "es drain n3")
				m := h.one()
				h.has(m, c.want...)
				if strings.Contains(m.Text+h.log.String(), "hunter2") {
					t.Error("a password got out")
				}
				if name == "unknown" {
					_, id, _ := strings.Cut(m.Text, "error `")
					if id, _, _ = strings.Cut(id, "`"); !strings.Contains(h.log.String(), "error_id="+id) {
						t.Errorf("the log does not have the id %q:\n%s", id, h.log)
					}
				}
			})
		})
	}
}

func TestSlowPlan(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.engine.takes = 5 * time.Second
		h.command(alice, chanOps, "es drain n3")
		h.has(h.one(), "Planning: `es drain n3") // then the card
		h.engine.takes = time.Minute
		h.command(alice, chanOps, "es health")
		h.settle()
		said := h.out.all()
		if len(said) != 2 || !strings.Contains(said[1].Text, "gave no answer within 15s") {
			t.Errorf("said %+v", said)
		}
	})
}

func TestMistypedCommand(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.command(alice, chanOps, "es drian n3")
		h.has(h.one(), "Did you mean")
	})
}

// Trap 16: the composer's dashes and quotes do not change what is asked.
func TestMangledText(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.say(alice, chanOps, h.slack.Mention()+"\u00a0es drain “n3” —env staging", "")
		h.silent()
		open, _ := h.approvals.Open(t.Context())
		if len(open) != 1 || open[0].Environment != "staging" {
			t.Errorf("open: %+v\n%s", open, h.log)
		}
	})
}
