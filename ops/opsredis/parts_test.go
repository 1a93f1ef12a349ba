package opsredis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/opsredis"
	"twokey/ops/opstest"
)

// belated keeps the commands that carry a mark, to bring them once more later, as a
// network may that held them up until the client had sent them again elsewhere.
type belated struct {
	mark string
	args [][]any
}

func (*belated) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *belated) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		for _, a := range cmd.Args() {
			if raw, ok := a.([]byte); ok && strings.Contains(string(raw), b.mark) {
				b.args = append(b.args, cmd.Args())
				break
			}
		}
		return next(ctx, cmd)
	}
}

func (*belated) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestBelatedWrites: a write of a part, or a turn of a dial, that arrives once more after
// a later one does not bring the earlier value back.
func TestBelatedWrites(t *testing.T) {
	servers(t, func(t *testing.T, newClient func(t *testing.T) *redis.Client) {
		c := newClient(t)
		late := &belated{mark: "first"}
		c.AddHook(late)
		s := opsredis.New(c)
		if _, err := s.Create(t.Context(), opstest.NewRun("A")); err != nil {
			t.Fatal(err)
		}
		claim, _, err := s.Claim(t.Context(), "A", "A", time.Minute)
		must(t, err)
		must(t, claim.PutParts(t.Context(), map[string][]byte{"a": []byte("first"), "b": []byte("first")}))
		_, err = s.Turn(t.Context(), "A", "throttle", "first", "U1")
		must(t, err)
		// Past ten, so that the numbers of the writes are not compared as texts.
		for range 20 {
			must(t, claim.PutParts(t.Context(), map[string][]byte{"a": []byte("later")}))
		}
		_, err = s.Turn(t.Context(), "A", "throttle", "later", "U2")
		must(t, err)
		n := len(late.args)
		if n < 2 {
			t.Fatalf("%d commands kept, want one of the parts and one of the dial at least", n)
		}
		for _, args := range late.args[:n:n] {
			// A script the server did not know yet went out as EVALSHA first, then as EVAL.
			if err := c.Do(t.Context(), args...).Err(); err != nil {
				t.Fatalf("%v: %v", args[0], err)
			}
		}
		parts, err := claim.Parts(t.Context())
		must(t, err)
		if a, b := string(parts["a"]), string(parts["b"]); a != "later" || b != "first" {
			t.Errorf("parts %q and %q, want later and first", a, b)
		}
		dials, err := claim.Dials(t.Context())
		must(t, err)
		if d := dials["throttle"]; d.Value != "later" || d.By != "U2" {
			t.Errorf("dial %+v", d)
		}
	})
}

// TestRecordRepeatedAmongParts: parts written between a write of the record and its
// repetition do not make the repetition a new write.
func TestRecordRepeatedAmongParts(t *testing.T) {
	servers(t, func(t *testing.T, newClient func(t *testing.T) *redis.Client) {
		c := newClient(t)
		late := &belated{mark: "said once"}
		c.AddHook(late)
		s := opsredis.New(c)
		_, err := s.Create(t.Context(), opstest.NewRun("A"))
		must(t, err)
		claim, r, err := s.Claim(t.Context(), "A", "A", time.Minute)
		must(t, err)
		must(t, claim.Put(t.Context(), &r, []ops.Event{{Kind: ops.Milestone, Text: "said once"}}))
		must(t, claim.PutParts(t.Context(), map[string][]byte{"a": nil}))
		_, err = claim.Dials(t.Context())
		must(t, err)
		for _, args := range late.args[:len(late.args):len(late.args)] {
			must(t, c.Do(t.Context(), args...).Err())
		}
		if events, err := s.Events(t.Context(), "A", 0); len(events) != 1 || err != nil {
			t.Errorf("%d events, %v", len(events), err)
		}
	})
}

// throttled is an operation of one step that waits until its dial says enough.
type throttled struct{}

func (throttled) Kind() string { return "throttled" }

func (throttled) Plan(_ context.Context, call ops.Call) (ops.Plan, error) {
	return ops.Plan{Call: call, Class: ops.R1, Title: "Wait", Steps: []ops.StepRef{{Name: "wait", Version: 1}}}, nil
}

func (s throttled) Step(ops.StepRef) (ops.Step, error) { return s, nil }

func (throttled) Start(context.Context, *ops.Tick, string) error { return nil }

func (throttled) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	dials, err := t.Dials(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	if dials["throttle"].Value != "enough" {
		return ops.Progress{Phase: ops.Waiting, Wait: 10 * time.Minute, Status: ops.Status{Headline: "throttle " + dials["throttle"].Value}}, nil
	}
	return ops.Progress{Phase: ops.Done}, nil
}

func (throttled) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, nil
}
