package ops_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opstest"
)

// herald is an operation of one step, which is done at once with a headline and words.
type herald struct {
	headline string
	words    []string
}

func (herald) Kind() string { return "speak" }

func (herald) Plan(_ context.Context, call ops.Call) (ops.Plan, error) {
	return ops.Plan{Call: call, Class: ops.R1, Title: "Speak", Steps: []ops.StepRef{{Name: "speak", Title: "speak"}}}, nil
}

func (s herald) Step(ops.StepRef) (ops.Step, error) { return s, nil }

func (herald) Start(context.Context, *ops.Tick, string) error { return nil }

func (s herald) Poll(_ context.Context, t *ops.Tick) (ops.Progress, error) {
	for _, w := range s.words {
		t.Say("%s", w)
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: s.headline}}, nil
}

func (herald) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, nil
}

// A success says its headline once: a milestone that begins with it goes into the ending.
func TestEndingSaysItOnce(t *testing.T) {
	tests := []struct {
		name string
		herald
		want []string
	}{
		{"no milestone", herald{"n3 is empty", nil}, []string{"ending: Done: Speak: n3 is empty."}},
		{"the milestone proves the headline", herald{"n3 is empty", []string{"n3 is empty. Seen twice."}},
			[]string{"ending: Done: Speak: n3 is empty. Seen twice."}},
		{"other milestones stay", herald{"n3 is empty", []string{"n2 restarted.", "n3 is empty. Seen twice."}},
			[]string{"milestone: n2 restarted.", "ending: Done: Speak: n3 is empty. Seen twice."}},
		{"a milestone about something else", herald{"n3 is empty", []string{"n2 restarted."}},
			[]string{"milestone: n2 restarted.", "ending: Done: Speak: n3 is empty."}},
		{"no headline", herald{"", []string{"n2 restarted."}}, []string{"milestone: n2 restarted.", "ending: Done: Speak."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rig := opstest.NewRig(t, ops.Options{}, tt.herald)
			rig.Submit(id, ops.Call{Kind: "speak", Environment: "test"})
			if run := rig.Finish(id); run.State != ops.Succeeded {
				t.Fatalf("state %s: %s", run.State, run.Reason)
			}
			got := said(rig)
			if len(got) == 0 || got[0] != "milestone: Started: Speak." {
				t.Fatalf("said %q", got)
			}
			if d := cmp.Diff(tt.want, got[1:]); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}
