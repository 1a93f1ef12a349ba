package stacks

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/deploy/awssim"
	"twokey/ops"
	"twokey/ops/opstest"
)

// TestWatch follows a deploy that another tool began, and tells how it ended.
func TestWatch(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{service, "web ended in UPDATE_COMPLETE after 1m4s."},
		{fmt.Sprintf(failingService, ""), "web ended in UPDATE_ROLLBACK_COMPLETE after 1m6s. First failure: Service (AWS::ECS::Service): ECS Deployment Circuit Breaker was triggered."},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, awssim.Options{})
			w.deployed(t, resources(service))
			op := watchStack{w.op.sites}
			call := ops.Call{Kind: kindWatch, Environment: "staging", Args: []string{"web"}}
			_, err := op.Plan(t.Context(), call)
			if got, want := explained(err), "nothing runs on web in staging (eu-west-1): done (CREATE_COMPLETE) | cfn events web shows what happened to it."; got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			b := w.bench(t, resources(tt.template).with("Tag", "two"))
			w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "resources done") })
			time.Sleep(10 * time.Second)
			run, said := opstest.Drive(t, 0, op, call)
			if last := said[len(said)-1].Text; run.State != ops.Succeeded || !strings.Contains(last, tt.want) {
				t.Errorf("%s: %s\nwant %s", run.State, last, tt.want)
			}
			if len(run.Journal) > 0 {
				t.Errorf("journal %v", run.Journal)
			}
		})
	}
}
