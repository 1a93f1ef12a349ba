package opstest_test

import (
	"context"
	"errors"
	"testing"

	"twokey/ops"
	"twokey/ops/opstest"
)

// counter is a step that raises a part's number by each start, by as much as its dial says.
type counter struct{ light }

func (counter) Start(ctx context.Context, t *ops.Tick, _ string) error {
	parts, err := t.Parts(ctx)
	if err != nil {
		return err
	}
	dials, err := t.Dials(ctx)
	if err != nil {
		return err
	}
	t.Attach("n.txt", "content", "counted")
	return t.PutParts(ctx, map[string]any{"n": len(parts), "by": dials["by"].By, dials["by"].Value: true})
}

func TestBenchKeepsPartsDialsAndFiles(t *testing.T) {
	b := opstest.NewBench(onePlan())
	b.SetDial("by", "two", "U1")
	if err := b.Start(t.Context(), 0, counter{}); err != nil {
		t.Fatal(err)
	}
	parts := b.Parts()
	if len(parts) != 3 || string(parts["n"]) != "0" || string(parts["by"]) != `"U1"` || string(parts["two"]) != "true" {
		t.Errorf("parts %q", parts)
	}
	events := b.Events()
	if len(events) != 1 || events[0].Seq != 1 || events[0].File == nil || events[0].File.Content != "content" {
		t.Errorf("events %+v", events)
	}
}

func TestBenchInjectsIntoParts(t *testing.T) {
	tests := []struct {
		name   string
		inject func(*opstest.Bench)
		err    error
		parts  int
	}{
		{"taken over", func(b *opstest.Bench) { b.TakeOver() }, ops.ErrFenced, 0},
		{"crash before they are stored", func(b *opstest.Bench) { b.CrashBefore(1) }, opstest.ErrCrashed, 0},
		{"crash after they were stored", func(b *opstest.Bench) { b.CrashAfter(1) }, opstest.ErrCrashed, 3},
		{"crash at the record that follows", func(b *opstest.Bench) { b.CrashBefore(2) }, opstest.ErrCrashed, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := opstest.NewBench(onePlan())
			tt.inject(b)
			if err := b.Start(t.Context(), 0, counter{}); !errors.Is(err, tt.err) {
				t.Errorf("Start: %v, want %v", err, tt.err)
			}
			if n := len(b.Parts()); n != tt.parts {
				t.Errorf("%d parts stored, want %d", n, tt.parts)
			}
			if n := len(b.Events()); n != 0 {
				t.Errorf("%d events stored, want none", n)
			}
			b.Restart()
			if err := b.Start(t.Context(), 0, counter{}); err != nil || len(b.Parts()) != 3 {
				t.Errorf("after the restart: %v, %d parts", err, len(b.Parts()))
			}
		})
	}
}
