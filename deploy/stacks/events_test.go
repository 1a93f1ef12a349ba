package stacks

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/deploy/awsproxy"
	"twokey/deploy/awssim"
	"twokey/ops"
)

func TestEventsOfRolledBackStack(t *testing.T) {
	_, a := simulated(t, awssim.Options{})
	got, err := ask(t, a, "cfn events", "checkout")
	if err != nil {
		t.Fatal(err)
	}
	const reason = `Resource handler returned message: "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length (Service: Sqs, Status Code: 400)" (HandlerErrorCode: InvalidRequest)`
	want := ops.Answer{
		Title: "checkout in staging (eu-west-1): failed (ROLLBACK_COMPLETE). First failure: Orders (AWS::SQS::Queue): " + reason,
		Lines: []string{
			"Creating it failed and was rolled back. It holds nothing and can only be deleted.",
			"All its 8 events, newest first.",
		},
		Table: &ops.Table{
			Columns: []string{"Time (UTC)", "Resource", "Status", "Reason"},
			Rows: [][]string{
				{"2026-11-20 09:00:16", "checkout (CloudFormation::Stack)", "ROLLBACK_COMPLETE", ""},
				{"2026-11-20 09:00:14", "Table (DynamoDB::Table)", "DELETE_COMPLETE", ""},
				{"2026-11-20 09:00:06", "checkout (CloudFormation::Stack)", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Orders, Table]. Rollback requested by user."},
				{"2026-11-20 09:00:05", "Table (DynamoDB::Table)", "CREATE_FAILED", "Resource creation cancelled"},
				{"2026-11-20 09:00:05", "Orders (SQS::Queue)", "CREATE_FAILED", reason},
				{"2026-11-20 09:00:02", "Orders (SQS::Queue)", "CREATE_IN_PROGRESS", ""},
				{"2026-11-20 09:00:02", "Table (DynamoDB::Table)", "CREATE_IN_PROGRESS", ""},
				{"2026-11-20 09:00:00", "checkout (CloudFormation::Stack)", "CREATE_IN_PROGRESS", "User Initiated"},
			},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// The cause is in a nested stack which the rollback deleted.
func TestEventsFollowNestedStacks(t *testing.T) {
	sim, a := simulated(t, awssim.Options{PageSize: 2})
	got, err := ask(t, a, "cfn events", "reports")
	if err != nil {
		t.Fatal(err)
	}
	if want := "reports in staging (eu-west-1): failed (UPDATE_ROLLBACK_COMPLETE). First failure: Role (AWS::IAM::Role): reports-role already exists in stack arn:"; !strings.HasPrefix(got.Title, want) {
		t.Errorf("title = %s\nwant    %s…", got.Title, want)
	}
	if want := "That was in the nested stack reports-Workers-1ABCDEFGHIJKL."; !slices.Contains(got.Lines, want) {
		t.Errorf("lines = %q, want %q among them", got.Lines, want)
	}

	child := awssim.Presets("eu-west-1", "123456789012", noon)[4].ID
	before := sim.Calls("DescribeStackEvents")
	if _, err := ask(t, a, "cfn events", child); err != nil {
		t.Errorf("the deleted nested stack by ARN: %v", err)
	}
	if n := sim.Calls("DescribeStackEvents") - before; n != 3 {
		t.Errorf("6 events in pages of 2 took %d calls, want 3", n)
	}

	// Where the nested stack cannot be read, the parent's word is all there is, and the
	// answer says so.
	proxy := awsproxy.Over(sim)
	proxy.Add(awsproxy.Rule{Action: "DescribeStackEvents", Match: url.QueryEscape(child), Times: -1, Code: "Refused", Message: "not today"})
	got, err = ask(t, account(t, proxy), "cfn events", "reports")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.Title, "First failure: Workers (AWS::CloudFormation::Stack): Embedded stack ") {
		t.Errorf("title = %s", got.Title)
	}
	if want := "The events of the nested stack could not be read: AWS refused cloudformation:DescribeStackEvents"; !strings.HasPrefix(got.Lines[0], want) {
		t.Errorf("first line = %q, want %q…", got.Lines[0], want)
	}
}

// A stack in progress shows its operation going on, page after page.
func TestEventsInProgress(t *testing.T) {
	now := noon
	_, a := simulated(t, awssim.Options{PageSize: 2, Now: func() time.Time { return now }})
	for _, tt := range []struct {
		after        time.Duration
		title, first string
	}{
		{0, "running (UPDATE_IN_PROGRESS)", "ZoneA (AutoScaling::AutoScalingGroup)"},
		{3 * time.Minute, "running (UPDATE_IN_PROGRESS)", "ZoneB (AutoScaling::AutoScalingGroup)"},
		{time.Hour, "done (UPDATE_COMPLETE)", "search (CloudFormation::Stack)"},
	} {
		now = noon.Add(tt.after)
		got, err := ask(t, a, "cfn events", "search")
		if err != nil {
			t.Fatal(err)
		}
		if want := "search in staging (eu-west-1): " + tt.title; got.Title != want {
			t.Errorf("after %v: title = %q, want %q", tt.after, got.Title, want)
		}
		if got.Table.Rows[0][1] != tt.first {
			t.Errorf("after %v: newest event is of %q, want %q", tt.after, got.Table.Rows[0][1], tt.first)
		}
	}
}

const stackARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/big/1"

// told is a stack made of lines "LOGICAL STATUS reason", a second apart; big is the
// stack itself.
func told(lines ...string) awssim.Stack {
	s := awssim.Stack{Name: "big", ID: stackARN}
	for i, l := range lines {
		f := strings.SplitN(l, " ", 3)
		e := awssim.Event{
			At: noon.Add(time.Duration(i-len(lines)) * time.Second), Logical: f[0], Physical: f[0],
			Type: "AWS::SQS::Queue", Status: f[1],
		}
		if len(f) == 3 {
			e.Reason = f[2]
		}
		if f[0] == "big" {
			e.Physical, e.Type = stackARN, "AWS::CloudFormation::Stack"
		}
		s.Events = append(s.Events, e)
	}
	return s
}

func TestCause(t *testing.T) {
	old := []string{"big CREATE_IN_PROGRESS", "Old CREATE_FAILED an earlier story", "big CREATE_COMPLETE"}
	tests := []struct {
		name  string
		lines []string
		title string
		more  []string // lines that must be there
	}{
		{
			"earliest, not cancelled, of the latest operation",
			append(slices.Clone(old), "big UPDATE_IN_PROGRESS", "A UPDATE_FAILED Resource update cancelled", "B UPDATE_FAILED no room", "C UPDATE_FAILED too",
				"big UPDATE_ROLLBACK_IN_PROGRESS The following resource(s) failed to update: [A, B, C].", "big UPDATE_ROLLBACK_COMPLETE"),
			"failed (UPDATE_ROLLBACK_COMPLETE). First failure: B (AWS::SQS::Queue): no room",
			[]string{"Failed too: C (AWS::SQS::Queue): too"},
		}, {
			"rollback fails too",
			append(slices.Clone(old), "big UPDATE_IN_PROGRESS", "B UPDATE_FAILED no room", "big UPDATE_ROLLBACK_IN_PROGRESS", "D UPDATE_FAILED gone", "big UPDATE_ROLLBACK_FAILED"),
			"failed (UPDATE_ROLLBACK_FAILED). First failure: B (AWS::SQS::Queue): no room",
			[]string{"Failed in the rollback: D (AWS::SQS::Queue): gone"},
		}, {
			"cancelled by a person",
			append(slices.Clone(old), "big UPDATE_IN_PROGRESS", "big UPDATE_ROLLBACK_IN_PROGRESS User Initiated", "A UPDATE_FAILED Resource update canceled", "big UPDATE_ROLLBACK_COMPLETE"),
			"failed (UPDATE_ROLLBACK_COMPLETE). Reason: User Initiated",
			nil,
		}, {
			"going back now",
			[]string{"big CREATE_IN_PROGRESS", "A CREATE_FAILED", "big ROLLBACK_IN_PROGRESS"},
			"running (ROLLBACK_IN_PROGRESS). First failure: A (AWS::SQS::Queue): CREATE_FAILED without a reason",
			nil,
		}, {
			"delete",
			append(slices.Clone(old), "big DELETE_IN_PROGRESS", "A DELETE_FAILED not empty: password=hunter2", "big DELETE_FAILED The following resource(s) failed to delete: [A]."),
			"failed (DELETE_FAILED). First failure: A (AWS::SQS::Queue): not empty: password=****",
			nil,
		}, {
			"succeeded after a failure",
			append(slices.Clone(old), "big UPDATE_IN_PROGRESS", "big UPDATE_COMPLETE"),
			"done (UPDATE_COMPLETE)",
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, a := simulated(t, awssim.Options{Stacks: []awssim.Stack{told(tt.lines...)}})
			got, err := ask(t, a, "cfn events", "big")
			if err != nil {
				t.Fatal(err)
			}
			if want := "big in staging (eu-west-1): " + tt.title; got.Title != want {
				t.Errorf("title = %s\nwant    %s", got.Title, want)
			}
			for _, m := range tt.more {
				if !slices.Contains(got.Lines, m) {
					t.Errorf("lines = %q, want %q among them", got.Lines, m)
				}
			}
		})
	}
}

// A long operation is read back to its beginning, but not without end.
func TestEventsAreBounded(t *testing.T) {
	long := func(n int) []string {
		lines := []string{"big CREATE_IN_PROGRESS", "A CREATE_FAILED no room"}
		for i := range n {
			lines = append(lines, fmt.Sprintf("R%d CREATE_COMPLETE", i))
		}
		return append(lines, "big ROLLBACK_IN_PROGRESS The following resource(s) failed to create: [A].", "big ROLLBACK_COMPLETE")
	}
	for _, tt := range []struct {
		name   string
		events int
		calls  int
		title  string
	}{
		{"nine pages", 850, 9, "First failure: A (AWS::SQS::Queue): no room"},
		{"a hundred pages", 10000, 10, "Reason: The following resource(s) failed to create: [A]."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim, a := simulated(t, awssim.Options{Stacks: []awssim.Stack{told(long(tt.events)...)}})
			got, err := ask(t, a, "cfn events", "big")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(got.Title, tt.title) {
				t.Errorf("title = %q, want it to end in %q", got.Title, tt.title)
			}
			if n := sim.Calls("DescribeStackEvents"); n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
			if len(got.Table.Rows) != shownRows {
				t.Errorf("%d rows, want %d", len(got.Table.Rows), shownRows)
			}
			const warning = "Only the newest 1000 events were read: an earlier failure is possible."
			if said := slices.Contains(got.Lines, warning); said != (tt.events > maxEvents) {
				t.Errorf("lines = %q", got.Lines)
			}
		})
	}
}

// A page that fails is no end of the events.
func TestEventsPageRefused(t *testing.T) {
	sim, a := simulated(t, awssim.Options{})
	sim.Fail("DescribeStackEvents", 1, awssim.Fault{Code: "Refused", Message: "no"})
	_, err := ask(t, a, "cfn events", "checkout")
	wantError(t, err, "AWS refused cloudformation:DescribeStackEvents in staging (eu-west-1): Refused: no", "")
}
