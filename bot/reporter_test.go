package bot_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/ops"
)

func TestReporterWholeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t)
		defer p.sender(p.http)()
		defer p.reporter(p.rdb)()
		r := p.drained(here())
		p.idleAfterReport()
		thread := p.card(r.ID)
		if len(thread) != 4 {
			t.Fatalf("thread %q", texts(thread))
		}
		has(t, thread[0], "*Done*", "approved by <@U0BOB>")
		if strings.Contains(string(thread[0].Blocks), "actions") {
			t.Error("the card of an ended run has buttons")
		}
		has(t, before(thread[0]), "subteam^S0SRE", `"action_id":"approve"`, r.ID+":"+r.Digest)
		has(t, thread[1], "n3 holds no shard", "Done")
		if n := len(thread[1].Edits); n < 2 || n > 6 {
			t.Errorf("the status message was edited %d times in 55 s", n)
		}
		has(t, thread[2], "n3 is excluded.")
		has(t, thread[3], "n3 holds no shard", "*Kept as planned*", "exclude._name", "<@U0ANN>")
		p.once("card:"+r.ID, "status:"+r.ID, fmt.Sprintf("event:%s:1", r.ID), fmt.Sprintf("event:%s:2", r.ID))
		p.obeyed()
	})
}

// A milestone's file is in its reply; an ending's goes before the ending, which stays last.
func TestReporterFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t)
		defer p.sender(p.http)()
		defer p.reporter(p.rdb)()
		r := p.ask("command:1", here())
		time.Sleep(5 * time.Second)
		p.approve(r.ID)
		file := func(content string) *ops.File { return &ops.File{Name: "refused.tsv", Content: content} }
		p.tick(r.ID, func(r *ops.Run) { r.State, r.StartedAt = ops.Running, time.Now() },
			ops.Event{Kind: ops.Milestone, Text: "2 documents & more were refused.", File: file("a\nb\n")},
			ops.Event{Kind: ops.Milestone, Text: "None was refused.", File: file("")})
		time.Sleep(30 * time.Second)
		p.tick(r.ID, func(r *ops.Run) { r.State, r.EndedAt = ops.Succeeded, time.Now() },
			ops.Event{Kind: ops.Ending, Text: "Done: copied.", File: file("c\n")})
		p.idleAfterReport()
		thread := p.card(r.ID)[2:] // without card and status
		want := []string{"2 documents &amp; more were refused.", "None was refused.", "For the ending: `refused.tsv`"}
		if got := texts(thread); len(got) != 4 || !slices.Equal(got[:3], want) {
			t.Fatalf("thread %q", got)
		}
		has(t, thread[3], "Done", "copied", "<@U0ANN>")
		for i, content := range []string{"a\nb\n", "", "c\n", ""} {
			if fs := thread[i].Files; (content == "") != (len(fs) == 0) || content != "" && fs[0].Content != content {
				t.Errorf("%q has the files %+v", thread[i].Text, fs)
			}
		}
		p.obeyed()
	})
}

// A mention is answered in its thread; nothing is posted before the origin is known; a
// request that ends without a run says so to who asked.
func TestReporterMentionAndDecline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t)
		defer p.sender(p.http)()
		defer p.reporter(p.rdb)()
		said, err := p.sim.Say("U0ANN", "C0OPS", "<@U0TWOKEY> es drain n3", "")
		if err != nil {
			t.Fatal(err)
		}
		r := p.ask("message:1", bot.Origin{})
		time.Sleep(5 * time.Second)
		if n := len(p.sim.Channel("C0OPS")); n != 1 {
			t.Errorf("%d messages before the origin is known", n)
		}
		o := here()
		o.Thread = said
		if err := p.threads.SetOrigin(t.Context(), r.ID, o); err != nil {
			t.Fatal(err)
		}
		time.Sleep(35 * time.Second)
		if _, err := p.requests.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: "U0BOB", Via: approvals.ViaTyped, Reason: "not <!here> & now"}); err != nil {
			t.Fatal(err)
		}
		p.idleAfterReport()
		thread := p.sim.Thread("C0OPS", said)
		if len(thread) != 3 {
			t.Fatalf("thread %q", texts(thread))
		}
		has(t, thread[1], "*Declined* by <@U0BOB>")
		has(t, thread[2], "<@U0ANN>", "declined by <@U0BOB>: not &lt;!here&gt; &amp; now. Nothing was started.")
		p.obeyed()
	})
}

func TestReporterExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t)
		defer p.sender(p.http)()
		defer p.reporter(p.rdb)()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = p.requests.Run(ctx) }()
		defer func() { cancel(); <-done }()
		r := p.ask("command:1", here())
		time.Sleep(11 * time.Minute)
		p.idleAfterReport()
		thread := p.card(r.ID)
		has(t, thread[0], "*Expired*")
		has(t, thread[1], "not approved in time", "<@U0ANN>")
		p.obeyed()
	})
}

// superseded is a run that found the world changed at its start.
func (p *play) superseded(o bot.Origin) approvals.Request {
	r := p.ask("command:1", o)
	time.Sleep(2 * time.Second)
	p.approve(r.ID)
	time.Sleep(2 * time.Second)
	fresh := plan("n4")
	p.tick(r.ID, func(r *ops.Run) {
		r.State, r.EndedAt, r.Fresh, r.Changed, r.Reason = ops.Superseded, time.Now(), &fresh, []string{"health is yellow"}, "health is yellow"
	}, ops.Event{Kind: ops.Ending, Text: "Not started: health is yellow."})
	return r
}

// askedAgain: a superseded run is asked again, once, beside the old card; the old card
// links to the new one.
func (p *play) askedAgain(r approvals.Request) {
	t := p.t
	open, err := p.requests.Open(t.Context())
	if err != nil || len(open) != 1 || open[0].Supersedes != r.ID || open[0].Digest != plan("n4").Digest() || len(open[0].Votes) != 0 {
		t.Fatalf("open: %+v, %v", open, err)
	}
	at, _, _ := p.outbox.Posted(t.Context(), "card:"+open[0].ID)
	has(t, p.card(r.ID)[0], "*Superseded*", "health is yellow", "https://home.slack.com/archives/C0OPS/p"+strings.ReplaceAll(at.TS, ".", ""))
	has(t, p.card(open[0].ID)[0], "Drain n4", "Replaces", `"action_id":"approve"`)
	p.once("card:"+r.ID, "card:"+open[0].ID, fmt.Sprintf("event:%s:1", r.ID))
	if n := len(p.sim.Channel("C0OPS")); n != 2 {
		t.Errorf("%d posts in the channel, want two cards", n)
	}
}

func TestReporterSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t)
		defer p.sender(p.http)()
		defer p.reporter(p.rdb)()
		r := p.superseded(here())
		p.idleAfterReport()
		p.askedAgain(r)
		p.obeyed()
	})
}

// The reporter dies at one of its calls to Redis after the other; another goes on. What
// people see is always the same.
func TestReporterKilledAnywhere(t *testing.T) {
	for name, story := range map[string]struct {
		every int
		tell  func(p *play, o bot.Origin) approvals.Request
		check func(p *play, r approvals.Request)
	}{
		"done":       {11, (*play).drained, (*play).whole},
		"superseded": {3, (*play).superseded, (*play).askedAgain},
	} {
		t.Run(name, func(t *testing.T) {
			for at, reached := 1, true; reached && !t.Failed(); at += story.every {
				synctest.Test(t, func(t *testing.T) {
					p := newPlay(t)
					defer p.sender(p.http)()
					dying := &countdown{left: at}
					own := p.redis()
					defer own.Close()
					own.AddHook(dying)
					stop := p.reporter(own)
					r := story.tell(p, here())
					time.Sleep(5 * time.Second)
					reached = dying.kill()
					stop()
					time.Sleep(15 * time.Second) // the lease passes
					defer p.reporter(p.rdb)()
					time.Sleep(5 * time.Second)
					p.idleAfterReport()
					story.check(p, r)
					p.obeyed()
					if t.Failed() || !reached {
						t.Logf("killed at one of every %d calls, %d in all", story.every, at)
					}
				})
			}
		})
	}
}

// whole is the thread of a run that ended well, told twice or once.
func (p *play) whole(r approvals.Request) {
	thread := p.card(r.ID)
	if len(thread) != 4 {
		p.t.Fatalf("thread %q", texts(thread))
	}
	has(p.t, thread[0], "*Done*")
	has(p.t, thread[1], "Done")
	has(p.t, thread[2], "n3 is excluded.")
	has(p.t, thread[3], "*Kept as planned*")
	p.once("card:"+r.ID, "status:"+r.ID, fmt.Sprintf("event:%s:1", r.ID), fmt.Sprintf("event:%s:2", r.ID))
}
