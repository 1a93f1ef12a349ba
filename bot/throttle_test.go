package bot_test

import (
	"strings"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/ops"
)

// launched types a command as alice, which bob approves, and returns its request and card.
func (h *house) launched(text string) (approvals.Request, bot.Place) {
	h.t.Helper()
	h.command(alice, chanOps, text)
	open, err := h.approvals.Open(h.t.Context())
	if err != nil || len(open) != 1 {
		h.t.Fatalf("open requests: %v, %v\n%s", open, err, h.log)
	}
	card := h.card(open[0])
	_, err = h.slack.Click(bob, card.Channel, card.TS, "approve")
	h.do(err)
	return open[0], card
}

func TestThrottle(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, _ := h.launched("es reindex a b --env staging")
		turned := func(want string) {
			t.Helper()
			if got := strings.Join(h.engine.asked, ", "); got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
			h.engine.asked = nil
		}
		// Those who may not are told so, and nothing happens.
		for _, who := range []string{carol, guest} {
			h.command(who, chanOps, "es reindex throttle "+r.ID+" 5000")
			h.one()
			turned("")
		}
		h.command(carol, chanOps, "es reindex throttle "+r.ID+" none")
		h.has(h.one(), "Only <@"+alice+">, who asked for it, and its approvers may do this")

		for typed, want := range map[string]struct{ value, says string }{
			"5000":    {"5000", "set to 5,000 documents a second"},
			"1,200":   {"1200", "set to 1,200 documents a second"},
			"250":     {"250", "set to 250 documents a second"},
			"1000000": {"1000000", "set to 1,000,000 documents a second"},
			"None":    {"none", "taken away"},
		} {
			for _, who := range []string{alice, bob} {
				h.command(who, chanOps, "es reindex throttle "+r.ID+" "+typed)
				turned("turn throttle " + want.value + " " + r.ID + " " + who)
				said := h.out.all()
				if len(said) != 2 {
					t.Fatalf("said %+v\n%s", said, h.log)
				}
				title := "Throttle of Drain n3 in staging (`" + r.ID[len(r.ID)-6:] + "`) " + want.says
				if m := said[0]; m.Act != bot.Post || m.Under != "card:"+r.ID || m.Channel != chanOps || m.Text != title+" by <@"+who+">." {
					t.Errorf("in the thread: %+v", m)
				}
				if m := said[1]; m.Text != title+"." || m.Act != bot.Respond {
					t.Errorf("the answer: %+v", m)
				}
			}
		}
		for typed, want := range map[string]string{
			"5k": `"5k" is not a throttle.`, "-1": "Usage: /ops es reindex throttle ID N", "0": "would stop the copy", "1,00": `"1,00" is not a throttle.`,
			"1.5": `"1.5" is not a throttle.`, "&lt;!here&gt;": `"&lt;!here&gt;" is not a throttle.`, "": "es reindex throttle needs N", "99999999999999999999": "is more than 1,000,000,000",
		} {
			h.command(bob, chanOps, "es reindex throttle "+r.ID+" "+typed)
			h.has(h.one(), want)
			turned("")
		}
		run := h.engine.runs[r.ID]
		run.State = ops.Succeeded
		h.engine.runs[r.ID] = run
		h.command(alice, chanOps, "es reindex throttle "+r.ID+" 5")
		h.has(h.one(), "has ended (done)")
	})
}

// A person who was an approver and is none any more may not turn it; nor may anybody
// before there is a run, or of a run that has no throttle.
func TestThrottleOnlyWhereItIs(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		drain, _ := h.launched("es drain n3 --env staging")
		h.command(alice, chanOps, "es reindex throttle "+drain.ID+" 5000")
		h.has(h.one(), "has no throttle: only runs of es reindex and es campaign have. Nothing was changed.")

		h.command(alice, chanOps, "es reindex a b --env staging")
		open, err := h.approvals.Open(t.Context())
		if err != nil || len(open) != 1 {
			t.Fatal(open, err)
		}
		h.command(alice, chanOps, "es reindex throttle "+open[0].ID+" 5000")
		h.has(h.one(), "is pending; there is no run")
		card := h.card(open[0])
		_, err = h.slack.Click(bob, card.Channel, card.TS, "approve")
		h.do(err)

		h.slack.AddGroup(slacksim.Group{ID: "S0SRE", Handle: "sre", Name: "SRE", Users: []string{alice}})
		time.Sleep(time.Minute)
		h.command(bob, chanOps, "es reindex throttle "+open[0].ID+" 5000")
		h.has(h.one(), "who asked for it, and its approvers may do this")
		if len(h.engine.asked) != 0 {
			t.Errorf("asked %v", h.engine.asked)
		}
	})
}
