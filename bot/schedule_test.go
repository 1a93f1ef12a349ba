package bot

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/slack-go/slack"
)

// order empties a schedule as a sender whose calls all succeed at once does.
func order(s *schedule, now time.Time) []string {
	var got []string
	for e := s.next(now); e != nil; e = s.next(now) {
		got = append(got, e.key)
		if e.act == Post {
			s.roots[e.key] = Root{Posted: true, Place: Place{Channel: e.channel, TS: "1"}}
		}
		s.remove(e.key)
	}
	return got
}

// Replies wait for the files before them a minute, or five seconds if an urgent one is
// among them; files wait for all that is before them, and for each other.
func TestScheduleFiles(t *testing.T) {
	now, s := time.Now(), newSchedule()
	n := int64(0)
	put := func(key string, u Urgency, file *File) {
		n++
		s.add(Entry{Message: Message{Key: key, Act: Post, Channel: "C1", Thread: "1", Urgency: u, File: file}, First: n, Mark: n, Quiet: -1}, now)
	}
	next := func(want string) {
		t.Helper()
		got := ""
		if e := s.next(now); e != nil {
			got = e.key
		}
		if got != want {
			t.Errorf("next is %q, want %q", got, want)
		}
	}
	put("file 1", Normal, &File{})
	put("file 2", Normal, &File{})
	put("reply 1", Normal, nil)
	put("file 3", Normal, &File{})
	put("reply 2", Normal, nil)
	next("file 1")
	s.entries["file 1"].sending, s.file = true, true
	next("")
	now = now.Add(50 * time.Second)
	next("")
	s.add(Entry{Message: Message{Key: "file 1", Act: Post, Channel: "C1", Thread: "1", Urgency: Normal, File: &File{ID: "F1"}}, First: 1, Mark: 9, Quiet: -1}, now)
	next("") // it goes on, but still is in the way
	now = now.Add(10 * time.Second)
	next("reply 1")
	put("end", Urgent, nil)
	next("reply 1")
	s.remove("reply 1")
	next("reply 2")
	s.remove("reply 2")
	next("end")
	s.remove("end")
	s.remove("file 1")
	s.file = false
	next("file 2")
	s.remove("file 2")
	next("file 3")
	s.remove("file 3")

	put("file 4", Normal, &File{})
	put("end 2", Urgent, nil)
	s.entries["file 4"].due = now.Add(time.Hour)
	next("")
	now = now.Add(4 * time.Second)
	next("")
	s.add(Entry{Message: Message{Key: "file 4", Act: Post, Channel: "C1", Thread: "1", Urgency: Normal, File: &File{ID: "F4"}}, First: n - 1, Mark: 99, Quiet: -1, Wait: time.Hour}, now)
	now = now.Add(time.Second)
	next("end 2")

	s.add(Entry{Message: Message{Key: "elsewhere", Act: Post, Channel: "C2", Thread: "2", Urgency: Urgent, File: &File{}}, First: 0, Mark: 100, Quiet: -1}, now)
	next("elsewhere")
	s.file = true // one is under way
	next("end 2")
}

func TestScheduleOrder(t *testing.T) {
	now := time.Now()
	post := func(first int64, key, under string, u Urgency) Entry {
		return Entry{Message: Message{Key: key, Act: Post, Channel: "C1", Under: under, Urgency: u}, First: first, Mark: first, Quiet: -1}
	}
	edit := func(first int64, under string, u Urgency, quiet time.Duration) Entry {
		return Entry{Message: Message{Key: "edit:" + under, Act: Edit, Under: under, Urgency: u}, First: first, Mark: first, Quiet: quiet}
	}
	for name, c := range map[string]struct {
		in   []Entry
		want []string
	}{
		"urgency, then age": {
			[]Entry{post(1, "a", "", Normal), post(2, "b", "", Urgent), post(3, "c", "", Urgent), edit(0, "z", Live, -1)},
			[]string{"b", "c", "a", "edit:z"},
		},
		"a reply waits for its root": {
			[]Entry{post(1, "event", "card", Urgent), post(2, "card", "", Normal)},
			[]string{"card", "event"},
		},
		"an ending takes its thread along, not others": {
			[]Entry{post(1, "other:1", "z", Normal), post(2, "mine:1", "y", Normal), post(3, "mine:end", "y", Urgent)},
			[]string{"mine:1", "mine:end", "other:1"},
		},
		"progress keeps its distance": {
			[]Entry{edit(1, "z", Live, 10*time.Second), edit(2, "y", Live, 20*time.Second), edit(3, "x", Urgent, 0)},
			[]string{"edit:x", "edit:y"},
		},
		"not before its time": {
			[]Entry{{Message: Message{Key: "a", Act: Post}, Wait: time.Second}, post(2, "b", "", Normal)},
			[]string{"b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSchedule()
			s.roots["x"], s.roots["y"], s.roots["z"] = Root{Posted: true}, Root{Posted: true}, Root{Posted: true}
			for _, e := range c.in {
				s.add(e, now)
			}
			if got := order(s, now); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Only the thread whose rate is used up waits.
func TestScheduleBlocked(t *testing.T) {
	now, s := time.Now(), newSchedule()
	for i, channel := range []string{"C1", "C2"} {
		s.add(Entry{Message: Message{Key: channel, Act: Post, Channel: channel}, First: int64(i), Quiet: -1}, now)
	}
	s.blocked["chat.postMessage:C1"] = now.Add(time.Second)
	if got := order(s, now); !slices.Equal(got, []string{"C2"}) {
		t.Error(got)
	}
	if got := order(s, now.Add(time.Second)); !slices.Equal(got, []string{"C1"}) {
		t.Error(got)
	}
}

// A message put again keeps being sent, and what was replaced leaves nothing behind.
func TestScheduleAgain(t *testing.T) {
	now, s := time.Now(), newSchedule()
	e := Entry{Message: Message{Key: "edit:x", Act: Edit, Under: "x", Urgency: Live}, Mark: 1, Quiet: -1}
	s.roots["x"] = Root{Posted: true}
	s.add(e, now)
	s.next(now).sending = true
	e.Mark = 2
	s.add(e, now)
	if s.next(now) != nil {
		t.Error("sent twice at the same time")
	}
	if s.live != 1 || s.mark != 2 {
		t.Error(s.live, s.mark)
	}
	s.remove("edit:x")
	if s.live != 0 || len(s.entries) != 0 || len(s.threads) != 0 {
		t.Error("not forgotten", s)
	}
}

// In any minute no rate allows more calls than Slack does.
func TestRates(t *testing.T) {
	tier := map[string]float64{
		"chat.update": 50, "chat.update:live": liveEdits, "chat.postEphemeral": 100, "chat.postMessage": 300, "chat.postMessage:C1": 60,
		"conversations.history": 50, "conversations.replies": 50, "conversations.open": 50,
	}
	for _, method := range []string{"chat.update", "chat.postMessage", "chat.postEphemeral", "conversations.history", "conversations.replies", "conversations.open"} {
		for _, r := range rates(method, "C1", true) {
			if most := float64(r.Burst) + minute.Seconds()/r.Every.Seconds(); most > tier[r.Key]+0.01 {
				t.Errorf("%s: %.1f calls in a minute, Slack allows %.0f", r.Key, most, tier[r.Key])
			}
		}
	}
	for live, want := range map[int]time.Duration{0: 15 * time.Second, 10: 15 * time.Second, 20: 30 * time.Second, 1000: 25 * time.Minute} {
		if got := editEvery(live); got != want {
			t.Errorf("editEvery(%d) = %s, want %s", live, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	said := func(word string) error { return slack.SlackErrorResponse{Err: word} }
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{&slack.RateLimitedError{RetryAfter: 7 * time.Second}, verdict{kind: limited, after: 7 * time.Second}},
		{slack.StatusCodeError{Code: 429}, verdict{kind: limited, after: unsaid}},
		{slack.StatusCodeError{Code: 503}, verdict{kind: again, doubt: true}},
		{slack.StatusCodeError{Code: 404}, verdict{kind: unfit}},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, verdict{kind: again}},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, verdict{kind: again, doubt: true}},
		{errors.New("unexpected EOF"), verdict{kind: again, doubt: true}},
		{said("ratelimited"), verdict{kind: limited, after: unsaid}},
		{said("fatal_error"), verdict{kind: again, doubt: true}},
		{said("invalid_auth"), verdict{kind: away}},
		{said("msg_too_long"), verdict{kind: malformed}},
		{said("not_in_channel"), verdict{kind: unfit}},
		{fmt.Errorf("wrapped: %w", said("is_archived")), verdict{kind: unfit}},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("judge(%v) = %+v, want %+v", c.err, got, c.want)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"a & <!channel> *b* `c`": "a &amp; &lt;!channel&gt; *b* `c`",
		"@here":                  "@here",
		"&lt;":                   "&amp;lt;",
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
	in := "<@U0ANN> <!subteam^S0SRE> <#C0OPS> <!here> <!channel> <@U0ANN|x> <@u0>"
	want := "<@U0ANN> <!subteam^S0SRE> <#C0OPS> &lt;!here&gt; &lt;!channel&gt; &lt;@U0ANN|x&gt; &lt;@u0&gt;"
	if got := escapeExceptMentions(in); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for id, want := range map[string]string{"U0ANN": "<@U0ANN>", "": "", "U<!here>": "U&lt;!here&gt;", "T0HOME": "T0HOME"} {
		if got := user(id); got != want {
			t.Errorf("user(%q) = %q, want %q", id, got, want)
		}
	}
	if got := clip("ab &amp; <@U0ANN> cd", 10); got != "ab &amp; …" {
		t.Errorf("clip: %q", got)
	}
}
