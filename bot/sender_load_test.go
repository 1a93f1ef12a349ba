package bot_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot"
	"twokey/bot/slacksim"
)

// peak is the most calls of a method that Slack saw in any minute.
func (s *stage) peak(method string, keep func(slacksim.Call) bool) int {
	var times []time.Time
	for _, c := range s.sim.Calls() {
		if c.Method == method && keep(c) {
			times = append(times, c.Time)
		}
	}
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// With 1,000 runs reporting progress every minute Slack gets no more than its rate, an
// ending and a card's edit pass all of them, and each run has its turn.
func TestSenderThousandLiveRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const runs = 1000
		s := newStage(t)
		defer s.sender(s.http)()
		place := make([]bot.Place, runs)
		for i := range runs { // their status messages, as if the sender had posted them
			key, channel := fmt.Sprintf("status:%d", i), []string{"C0OPS", "C0TWO"}[i%2]
			time.Sleep(time.Second)
			_, ts, err := s.slack.PostMessageContext(t.Context(), channel, slack.MsgOptionText("0", false))
			if err != nil {
				t.Fatal(err)
			}
			place[i] = bot.Place{Channel: channel, TS: ts}
			if err := s.outbox.Sent(t.Context(), bot.Claimed{Message: bot.Message{Key: key, Act: bot.Post}}, place[i]); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		var slowest time.Duration
		ends := 0
		for round := int64(1); round <= 10; round++ {
			for i := range runs {
				s.put(editOf(fmt.Sprintf("status:%d", i), fmt.Sprint(round), bot.Live, round))
			}
			time.Sleep(30 * time.Second)
			// A run ends while the others' progress waits.
			key, n := fmt.Sprintf("event:%d", round), int(round)*20%runs
			s.put(bot.Message{Key: key, Act: bot.Post, Urgency: bot.Urgent, Channel: "C0OPS", Thread: place[0].TS, Text: key})
			s.put(editOf(fmt.Sprintf("status:%d", n), "ended "+key, bot.Normal, 1000+round))
			at := time.Now()
			time.Sleep(30 * time.Second)
			for _, c := range s.sim.Calls() {
				if text := c.Args["text"]; text == key || text == "ended "+key {
					ends++
					slowest = max(slowest, c.Time.Sub(at))
				}
			}
		}
		all := func(c slacksim.Call) bool { return c.Time.After(start) }
		live := func(c slacksim.Call) bool { return all(c) && !strings.HasPrefix(c.Args["text"], "ended") }
		t.Logf("1,000 live runs for 10 min: at most %d progress edits and %d chat.update in a minute; 10 endings, the slowest shown after %s",
			s.peak("chat.update", live), s.peak("chat.update", all), slowest)
		if n := s.peak("chat.update", live); n > 40 {
			t.Errorf("%d progress edits in a minute", n)
		}
		if n := s.peak("chat.update", all); n > 50 {
			t.Errorf("%d edits in a minute", n)
		}
		if ends != 20 || slowest > 3*time.Second {
			t.Errorf("%d of 20 endings and last edits were shown, the slowest after %s", ends, slowest)
		}
		shown, edits := 0, 0
		for _, channel := range []string{"C0OPS", "C0TWO"} {
			for _, m := range s.sim.Channel(channel) {
				edits += len(m.Edits)
				shown += min(len(m.Edits), 1)
			}
		}
		if shown < edits-10 {
			t.Errorf("%d edits went to %d runs only: the others must have their turn first", edits, shown)
		}
		if edits < 350 {
			t.Errorf("only %d edits in 10 min: the rate is wasted", edits)
		}
		s.obeyed()
	})
}
