package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"twokey/deploy"
	"twokey/deploy/awssim"
)

// stackTemplate is a small stack: a queue and a service that takes a while.
const stackTemplate = `{"Parameters": {"Tag": {"Type": "String", "Default": "one"}, "Password": {"Type": "String", "NoEcho": true, "Default": "hunter2"}},
"Resources": {
	"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "shop"}},
	"Service": {"Type": "AWS::ECS::Service", "DependsOn": "Queue", "Properties": {"Image": {"Ref": "Tag"}}, "Metadata": {"Simulate": {"Seconds": SECONDS}}}}}`

// templateFolder is a folder with shop.json, whose service takes so many seconds.
func templateFolder(t *testing.T, seconds string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.json"), []byte(strings.Replace(stackTemplate, "SECONDS", seconds, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// connectAWS is the account of a simulation in this process.
func connectAWS(t *testing.T, sim *awssim.Sim) *deploy.Account {
	t.Helper()
	a, err := deploy.Connect(t.Context(), deploy.Settings{
		Environment: sandboxEnvironment, Region: sandboxRegion, Endpoint: "http://aws.simulated", HTTP: awssim.Client{Handler: sim},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestDeployConversation deploys a stack from typed command to ending: declined, it leaves
// nothing behind; approved, it is created and updated; what destroys needs two and the
// stack's name; watching needs nobody.
func TestDeployConversation(t *testing.T) {
	dir := templateFolder(t, "60")
	inWorld(t, true, func(t *testing.T, w *world) {
		w.aws = awssim.New(awssim.Options{Region: sandboxRegion, Now: time.Now, Stacks: []awssim.Stack{}, ChangeSetTime: 2 * time.Second, ExecuteDelay: 2 * time.Second})
		w.config.Environments[sandboxEnvironment].AWS.Templates = dir
		w.start()
		w.command(alice, "/ops cfn deploy shop --template shop.json")
		card := w.card()
		inOrder(t, "the card", string(card.Blocks), "Create stack shop in staging", "Changes 2 resources: 2 to add", "execute change set twokey-", "Queue (SQS::Queue)")
		w.click(bob, card, "decline")
		w.pass(5 * time.Second)
		if sets := w.aws.ChangeSets(); len(sets) > 0 || w.aws.Status("shop") != "" {
			t.Fatalf("declined, it left %q, %s", sets, w.aws.Status("shop"))
		}

		w.command(alice, "/ops cfn deploy shop --template shop.json --set Password=correct-horse")
		w.pass(10 * time.Second)
		if told := w.private(); !strings.Contains(told, "Password is secret, and what is typed is shown on the card") || strings.Contains(w.transcript(sandboxChannel), "correct-horse") {
			t.Errorf("a typed secret: %s", told)
		}
		w.aws.SetValue("ssm:/shop/password", "correct-horse")
		w.command(alice, "/ops cfn deploy shop --template shop.json --set Password=ssm:/shop/password")
		card = w.card()
		w.click(bob, card, "approve")
		w.pass(20 * time.Second)
		w.command(carol, "/ops cfn watch shop")
		w.awaitReply(3*time.Minute, card, "shop is CREATE_COMPLETE after 1m7s: 2 to add")
		w.pass(10 * time.Second)
		if all := w.transcript(sandboxChannel); !strings.Contains(all, "shop ended in CREATE_COMPLETE after 1m7s") {
			t.Errorf("the watcher was not told:\n%s", all)
		}

		// Without the queue: R3, two people and the name.
		if err := os.WriteFile(filepath.Join(dir, "less.json"), []byte(`{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}`), 0o644); err != nil {
			t.Fatal(err)
		}
		w.command(alice, "/ops cfn deploy shop --template less.json")
		w.pass(10 * time.Second)
		if got := w.private() + w.transcript(sandboxChannel); !strings.Contains(got, "type it again with `--confirm shop`") || len(w.aws.ChangeSets()) > 0 {
			t.Errorf("without the name: %q\n%s", w.aws.ChangeSets(), got)
		}
		w.command(alice, "/ops cfn deploy shop --template less.json --confirm shop")
		card = w.card()
		w.click(bob, card, "approve")
		w.pass(time.Minute)
		if status := w.aws.Status("shop"); status != "CREATE_COMPLETE" {
			t.Fatalf("with one approval: %s", status)
		}
		w.click(carol, card, "approve")
		w.awaitReply(3*time.Minute, card, "shop is UPDATE_COMPLETE")
		if all := w.transcript(sandboxChannel) + w.private() + w.log.String(); strings.Contains(all, "correct-horse") {
			t.Error("the password is seen")
		}
	})
}

// awsPoints notes the calls to AWS that change something, before and after.
type awsPoints struct{ *points }

// Do carries one request.
func (p awsPoints) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil || deploy.Reads(form.Get("Action")) {
		return http.DefaultClient.Do(r)
	}
	name := "aws " + form.Get("Action")
	p.pass("before " + name)
	resp, err := http.DefaultClient.Do(r)
	p.pass("after " + name)
	return resp, err
}

// TestDeployKilledAnywhere kills the bot by SIGKILL before and after each call to AWS that
// changes something, and after a write of the record, of a deploy and of its cancel,
// starts it again, and wants the same ending, one execution and no change set left.
func TestDeployKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some ten processes")
	}
	dir := templateFolder(t, "3")
	for _, way := range []struct {
		name   string
		cancel bool
	}{{"deploy", false}, {"cancelled deploy", true}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			want := deployed(t, dir, "", way.cancel)
			var chosen []string
			for _, at := range oneOfEach(want.points, false) {
				// What a deploy shares with other runs is in other tests.
				if cancelling := strings.Contains(at, "CancelUpdateStack"); cancelling == way.cancel && (strings.Contains(at, " aws ") || strings.Contains(at, "after record")) {
					chosen = append(chosen, at)
				}
			}
			died := make(chan string, len(chosen))
			t.Run("points", func(t *testing.T) {
				for _, at := range chosen {
					t.Run(at, func(t *testing.T) {
						t.Parallel()
						got := deployed(t, dir, at, way.cancel)
						if got.text != want.text && !way.cancel {
							t.Errorf("another ending:\n%s\nwant\n%s", got.text, want.text)
						}
						if got.died {
							died <- at
						}
					})
				}
			})
			close(died)
			var names []string
			for at := range died {
				names = append(names, at)
			}
			slices.Sort(names)
			t.Logf("figure: kill -9 at %d of %d points of a %s: %q", len(names), len(want.points), way.name, names)
			if len(names) < len(chosen)*3/4 {
				t.Errorf("only %d of %d runs reached their point: %q", len(names), len(chosen), chosen)
			}
		})
	}
}

// deployed has the conversation of one update of the stack shop, with the bot dying at a
// point (empty: never), and checks what must hold however it went.
func deployed(t *testing.T, dir, dieAt string, cancel bool) reindexed {
	t.Helper()
	sim := awssim.New(awssim.Options{Region: sandboxRegion, Stacks: []awssim.Stack{}})
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	o := newOutside(t, false, smallCluster())
	o.aws, o.templates = server.URL, dir
	c := o.child()
	c.DieAt, c.Points = dieAt, filepath.Join(t.TempDir(), "points")
	o.process = startChild(t, c)
	first := o.process
	o.up()
	// The stack exists, as somebody else made it.
	sim.Create("shop", strings.Replace(stackTemplate, "SECONDS", "3", 1))
	last := ":white_check_mark: Done"
	if cancel {
		last = ": Cancelled"
	}
	o.command(alice, "/ops cfn deploy shop --template shop.json --set Tag=two")
	card := o.card()
	o.click(bob, card, "approve")
	if cancel {
		waitFor(t, time.Minute, "update", func() bool { o.revive(); return sim.Status("shop") == "UPDATE_IN_PROGRESS" }, o.state)
		o.command(alice, "/ops cancel "+buttonID(t, card))
	}
	end := o.replyWith(card, 90*time.Second, last)
	o.saidOnce(card, end)
	status := sim.Status("shop")
	if !cancel && status != "UPDATE_COMPLETE" || cancel && status != "UPDATE_ROLLBACK_COMPLETE" && status != "UPDATE_COMPLETE" {
		t.Errorf("the stack is %s", status)
	}
	if cancel && (status == "UPDATE_ROLLBACK_COMPLETE") != strings.Contains(blockTexts(end.Blocks), "Restored") {
		t.Errorf("the stack is %s, the ending says: %s%s", status, end.Text, blockTexts(end.Blocks))
	}
	if n := sim.Executed("shop"); n != 1 {
		t.Errorf("executed %d times", n)
	}
	if sets := sim.ChangeSets(); len(sets) > 0 {
		t.Errorf("change sets left: %q", sets)
	}
	m := reindexed{text: setNames.ReplaceAllString(varying.ReplaceAllString(end.Text+blockTexts(end.Blocks), "#"), "twokey-"), points: readLines(t, c.Points)}
	select {
	case <-first.done:
		m.died = true
	default:
	}
	return m
}

// setNames are the random names of change sets.
var setNames = regexp.MustCompile(`twokey-[a-z0-9#]+`)
