package bot_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/bot"
	"twokey/bot/slacksim"
)

const (
	getURL   = "files.getUploadURLExternal"
	complete = "files.completeUploadExternal"
)

const refusedDocs = "doc-1\tfailed to parse [n]\ndoc-2\t```<!channel>\n"

func fileReply(key, under string) bot.Message {
	m := reply(key, under)
	m.File = &bot.File{Name: "refused.tsv", Content: refusedDocs}
	return m
}

func endingOf(key, under string) bot.Message {
	m := reply(key, under)
	m.Urgency = bot.Urgent
	return m
}

// under is the thread below a card, without the card.
func (s *stage) under(card string) []slacksim.Message {
	s.t.Helper()
	p, ok, err := s.outbox.Posted(s.t.Context(), card)
	if err != nil || !ok {
		s.t.Fatal(card, "has no place", err)
	}
	return s.sim.Thread(p.Channel, p.TS)[1:]
}

// attached fails unless the thread has these texts, and the files with the first of them
// that names one, once.
func (s *stage) attached(card string, want ...string) {
	s.t.Helper()
	ms := s.under(card)
	if got := texts(ms); !slices.Equal(got, want) {
		s.t.Errorf("thread of %s %q, want %q", card, got, want)
	}
	for _, m := range ms {
		if strings.HasPrefix(m.Text, "file:") != (len(m.Files) == 1) {
			s.t.Errorf("%q has %d files", m.Text, len(m.Files))
		}
		for _, f := range m.Files {
			if f.Name != "refused.tsv" || f.Content != refusedDocs {
				s.t.Errorf("file %+v", f)
			}
		}
	}
}

func TestSenderFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		s.put(root("card:A"), reply("status:A", "card:A"), fileReply("file:A", "card:A"), reply("event:A", "card:A"), endingOf("end:A", "card:A"))
		s.idle(20 * time.Second)
		s.attached("card:A", "status:A", "file:A", "event:A", "end:A")
		if p, ok, err := s.outbox.Posted(t.Context(), "file:A"); err != nil || !ok || p.TS != s.under("card:A")[1].TS {
			t.Error("the file's place:", p, ok, err)
		}
		s.once("status:A", "event:A", "end:A")
		s.obeyed()
	})
}

// Whatever gets lost on the way, the file is there once, and in its place.
func TestSenderFileLostReplies(t *testing.T) {
	for _, method := range []string{getURL, "upload_url", complete} {
		for name, fault := range map[string]slacksim.Fault{
			"lost reply":     {DropReply: true},
			"late reply":     {DelayReply: 30 * time.Second},
			"late effect":    {Delay: 30 * time.Second},
			"cut":            {Cut: true},
			"server error":   {Status: 503},
			"rate":           {Status: 429, RetryAfter: 7 * time.Second},
			"twice in a row": {DropReply: true, Times: 2},
		} {
			t.Run(method+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t)
					defer s.sender(s.http)()
					fault.Method = method
					s.sim.Fault(fault)
					s.sim.Fault(slacksim.Fault{Method: "conversations.replies", Status: 500})
					s.put(root("card:A"), fileReply("file:A", "card:A"), reply("event:A", "card:A"))
					s.idle(2 * time.Minute)
					time.Sleep(2 * time.Minute) // nothing comes late
					s.attached("card:A", "file:A", "event:A")
					s.obeyed()
				})
			})
		}
	}
}

// The sender dies in one of the calls, or between them; another goes on.
func TestSenderFileKilledAnywhere(t *testing.T) {
	for _, method := range []string{getURL, "upload_url", complete, "conversations.replies"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				first := s.start()
				time.Sleep(time.Second)
				s.start()
				s.sim.Fault(slacksim.Fault{Method: method, DelayReply: 3 * time.Second})
				s.put(root("card:A"), fileReply("file:A", "card:A"), reply("event:A", "card:A"))
				called := func(snap *slacksim.Snapshot) bool {
					return slices.ContainsFunc(snap.Calls(), func(c slacksim.Call) bool { return c.Method == method })
				}
				if err := s.sim.WaitFor(t.Context(), called); err != nil {
					t.Fatal(err)
				}
				close(first.dead)
				s.idle(2 * time.Minute)
				time.Sleep(2 * time.Minute)
				s.attached("card:A", "file:A", "event:A")
				s.obeyed()
			})
		})
	}
}

// A file that Slack does not know any more is uploaded again.
func TestSenderFileForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		s.sim.Fault(slacksim.Fault{Method: complete, Error: "file_not_found"})
		s.put(root("card:A"), fileReply("file:A", "card:A"))
		s.idle(time.Minute)
		s.attached("card:A", "file:A")
		s.obeyed()
	})
}

// What Slack refuses for good is said without a file, and holds nothing up.
func TestSenderFileRefused(t *testing.T) {
	for name, c := range map[string]struct {
		fault slacksim.Fault
		why   string
		limit time.Duration
	}{
		"no scope":        {slacksim.Fault{Method: getURL, Error: "missing_scope"}, "lacks the scope `files:write`", 20 * time.Second},
		"uploads off":     {slacksim.Fault{Method: getURL, Error: "file_uploads_disabled"}, "allows no uploads", 20 * time.Second},
		"type refused":    {slacksim.Fault{Method: complete, Error: "file_type_not_allowed"}, "Slack refused it (`file_type_not_allowed`)", 20 * time.Second},
		"bytes refused":   {slacksim.Fault{Method: "upload_url", Status: 403}, "could not be uploaded", 20 * time.Second},
		"always unknown":  {slacksim.Fault{Method: complete, Error: "file_not_found"}, "`file_not_found`", time.Minute},
		"never shown":     {slacksim.Fault{Method: complete, NeverShown: true}, "Slack took it but does not show it", time.Minute},
		"out of reach":    {slacksim.Fault{Method: "upload_url", Cut: true}, "could not be uploaded", 25 * time.Minute},
		"thread not read": {slacksim.Fault{Method: "conversations.replies", Error: "missing_scope"}, "", 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				defer s.sender(s.http)()
				c.fault.Times = -1
				s.sim.Fault(c.fault)
				s.put(root("card:A"), fileReply("file:A", "card:A"), reply("event:A", "card:A"))
				s.idle(c.limit)
				if c.why == "" { // nobody can know when it shows, so it is not waited for
					time.Sleep(10 * time.Second)
					s.attached("card:A", "event:A", "file:A")
					return
				}
				ms := s.under("card:A")
				if len(ms) != 2 {
					t.Fatalf("thread %q", texts(ms))
				}
				if name == "out of reach" { // a quarter of an hour is too long for the others
					slices.Reverse(ms)
				}
				has(t, ms[0], "file:A", "refused.tsv", "2 lines, 46 B", c.why, "doc-1", "&lt;!channel&gt;")
				if len(ms[0].Files) != 0 || ms[1].Text != "event:A" || strings.Contains(ms[0].Text, "<!channel>") {
					t.Errorf("thread %q", texts(ms))
				}
				if shown := plain.Replace(string(ms[0].Blocks)); !strings.Contains(shown, c.why) || strings.Contains(shown, "/upload/v1/u") {
					t.Errorf("blocks %s", shown)
				}
				s.once("file:A", "event:A")
			})
		})
	}
}

// late is how long after it was put a text was posted.
func (s *stage) late(text string, put time.Time) time.Duration {
	s.t.Helper()
	for _, c := range s.sim.Calls() {
		if c.Method == "chat.postMessage" && c.Effect && c.Args["text"] == text {
			return c.Time.Sub(put)
		}
	}
	s.t.Fatalf("%s was not posted", text)
	return 0
}

// Endings do not wait for files that Slack does not take, nor for those that hang, in
// their own thread or in others'. The files come once they can.
func TestSenderEndingsPassFiles(t *testing.T) {
	for name, fault := range map[string]slacksim.Fault{
		"rate":        {Status: 429, RetryAfter: time.Minute},
		"outage":      {Status: 503},
		"hanging":     {Delay: time.Hour},
		"lost":        {DropReply: true},
		"not shown":   {NeverShown: true},
		"late answer": {DelayReply: 7 * time.Second},
	} {
		for _, method := range []string{getURL, "upload_url", complete} {
			if fault.NeverShown && method != complete {
				continue
			}
			t.Run(method+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t)
					defer s.sender(s.http)()
					fault.Method, fault.Times = method, -1
					s.sim.Fault(fault)
					const runs = 4
					for i := range runs {
						card := fmt.Sprintf("card:%d", i)
						s.put(root(card), fileReply(fmt.Sprintf("file:%d", i), card))
					}
					time.Sleep(time.Minute)
					for i := range runs {
						end, card := fmt.Sprintf("end:%d", i), fmt.Sprintf("card:%d", i)
						put := time.Now()
						s.put(fileReply(end+":file", card), reply("last:"+end, card), endingOf(end, card))
						time.Sleep(10 * time.Second)
						if d := s.late(end, put); d > urgentHold+3*time.Second {
							t.Errorf("%s was posted after %s", end, d)
						}
						if s.late("last:"+end, put) > s.late(end, put) {
							t.Error("the ending overtook a reply")
						}
					}
					s.sim.ClearFaults()
					s.idle(time.Hour)
					for i := range runs {
						if n := len(s.under(fmt.Sprintf("card:%d", i))); n != 4 {
							t.Errorf("thread %q", texts(s.under(fmt.Sprintf("card:%d", i))))
						}
					}
					s.obeyed()
				})
			})
		}
	}
}

const urgentHold = 5 * time.Second

// Many files at once stay within Slack's rates, and within the share that looking for
// them may have.
func TestSenderManyFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		const runs = 60
		for i := range runs {
			card := fmt.Sprintf("card:%d", i)
			s.put(root(card), fileReply(fmt.Sprintf("file:%d", i), card))
		}
		s.idle(20 * time.Minute)
		for i := range runs {
			s.attached(fmt.Sprintf("card:%d", i), fmt.Sprintf("file:%d", i))
		}
		any := func(slacksim.Call) bool { return true }
		for method, most := range map[string]int{getURL: 100, complete: 100, "conversations.replies": 25} {
			if n := s.peak(method, any); n > most {
				t.Errorf("%d calls of %s in a minute", n, method)
			}
		}
		for _, c := range s.sim.Calls() {
			if c.Error != "" {
				t.Errorf("%s: %s", c.Method, c.Error)
			}
		}
		s.obeyed()
	})
}
