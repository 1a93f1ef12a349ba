package bot

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testReceiver() receiver {
	return receiver{team: "T0HOME", app: "A0TWOKEY", bot: "U0TWOKEY", aliases: map[string]string{"white_check_mark": actionApprove, "+1": actionApprove, "x": actionDecline}}
}

// envelope wraps an event as Slack does.
func envelope(event string) string {
	return `{"token":"verification-secret","team_id":"T0HOME","api_app_id":"A0TWOKEY","type":"event_callback","event_id":"Ev1","event":` + event + `}`
}

func TestReceive(t *testing.T) {
	const click = `{"type":"block_actions","token":"verification-secret","api_app_id":"A0TWOKEY","user":{"id":"U1","team_id":"T0HOME"},"channel":{"id":"C1"},
		"container":{"type":"message","message_ts":"5.1","channel_id":"C1","thread_ts":"4.0"},"response_url":"https://hooks.slack.com/actions/1",
		"message":{"blocks":17},"actions":[{"action_id":%q,"value":"01H:abc","action_ts":"9.9"}]}`
	for name, c := range map[string]struct {
		body string
		keys []string
	}{
		"mention":                      {envelope(`{"type":"app_mention","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help"}`), []string{"message:C1:5.1"}},
		"message with mention (2)":     {envelope(`{"type":"message","user":"U1","channel":"C1","channel_type":"channel","ts":"5.1","text":"<@U0TWOKEY> help"}`), []string{"message:C1:5.1"}},
		"message without":              {envelope(`{"type":"message","user":"U1","channel":"C1","channel_type":"channel","ts":"5.1","text":"es drain n3"}`), nil},
		"direct message (14)":          {envelope(`{"type":"message","user":"U1","channel":"D1","channel_type":"im","ts":"5.1","text":"help"}`), []string{"message:D1:5.1"}},
		"edit (8)":                     {envelope(`{"type":"message","subtype":"message_changed","user":"U1","channel":"D1","channel_type":"im","ts":"5.1","message":{"text":"help"}}`), nil},
		"edit that adds a mention (8)": {envelope(`{"type":"app_mention","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help","edited":{"user":"U1","ts":"6.0"}}`), nil},
		"unfurl (8)":                   {envelope(`{"type":"message","subtype":"message_changed","channel":"D1","channel_type":"im","ts":"5.1"}`), nil},
		"join":                         {envelope(`{"type":"message","subtype":"channel_join","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> joined"}`), nil},
		"deleted":                      {envelope(`{"type":"message","subtype":"message_deleted","user":"U1","channel":"D1","channel_type":"im","ts":"5.1"}`), nil},
		"own message (9)":              {envelope(`{"type":"message","user":"U0TWOKEY","channel":"D1","channel_type":"im","ts":"5.1","text":"help"}`), nil},
		"bot (9)":                      {envelope(`{"type":"app_mention","user":"U1","bot_id":"B1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help"}`), nil},
		"bot_message (9)":              {envelope(`{"type":"message","subtype":"bot_message","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help"}`), nil},
		"Slackbot (9)":                 {envelope(`{"type":"message","user":"USLACKBOT","channel":"D1","channel_type":"im","ts":"5.1","text":"help"}`), nil},
		"reaction (13)":                {envelope(`{"type":"reaction_added","user":"U1","reaction":"white_check_mark","item":{"type":"message","channel":"C1","ts":"5.1"},"event_ts":"7.0"}`), []string{"reaction:added:C1:5.1:U1:white_check_mark:7.0"}},
		"skin tone, no item_user (13)": {envelope(`{"type":"reaction_added","user":"U1","reaction":"+1::skin-tone-3","item":{"type":"message","channel":"C1","ts":"5.1"},"event_ts":"7.0"}`), []string{"reaction:added:C1:5.1:U1:+1::skin-tone-3:7.0"}},
		"reaction removed (13)":        {envelope(`{"type":"reaction_removed","user":"U1","reaction":"x","item":{"type":"message","channel":"C1","ts":"5.1"},"event_ts":"7.0"}`), []string{"reaction:removed:C1:5.1:U1:x:7.0"}},
		"own reaction (13)":            {envelope(`{"type":"reaction_added","user":"U0TWOKEY","reaction":"x","item":{"type":"message","channel":"C1","ts":"5.1"},"event_ts":"7.0"}`), nil},
		"reaction on a file":           {envelope(`{"type":"reaction_added","user":"U1","reaction":"x","item":{"type":"file","file":"F1"},"event_ts":"7.0"}`), nil},
		"other emoji":                  {envelope(`{"type":"reaction_added","user":"U1","reaction":"tada","item":{"type":"message","channel":"C1","ts":"5.1"},"event_ts":"7.0"}`), nil},
		"malformed blocks (17)":        {envelope(`{"type":"app_mention","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help","blocks":{"oops":[1,null]},"attachments":"x"}`), []string{"message:C1:5.1"}},
		"another app":                  {`{"team_id":"T0HOME","api_app_id":"A0OTHER","type":"event_callback","event":{"type":"app_mention","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help"}}`, nil},
		"another team":                 {`{"team_id":"T0OTHER","api_app_id":"A0TWOKEY","type":"event_callback","event":{"type":"app_mention","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help"}}`, nil},
		"shared channel (11)":          {`{"team_id":"T0OTHER","authorizations":[{"team_id":"T0HOME"}],"api_app_id":"A0TWOKEY","type":"event_callback","event":{"type":"app_mention","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help"}}`, []string{"message:C1:5.1"}},
		"unknown event":                {envelope(`{"type":"team_join","user":{"id":"U1"}}`), nil},
		"click":                        {fmt.Sprintf(click, "approve"), []string{"action:C1:5.1:9.9:U1"}},
		"click on a link":              {fmt.Sprintf(click, "open"), nil},
		"command":                      {`{"command":"/ops","text":"help","user_id":"U1","team_id":"T0HOME","channel_id":"C1","trigger_id":"1.2.3","api_app_id":"A0TWOKEY"}`, []string{"command:1.2.3"}},
		"command of another team":      {`{"command":"/ops","text":"help","user_id":"U1","team_id":"T0OTHER","channel_id":"C1","trigger_id":"1.2.3"}`, nil},
		"shortcut":                     {`{"type":"shortcut","user":{"id":"U1"}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			rc, err := testReceiver().readJSON([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, i := range rc.items {
				keys = append(keys, i.Key)
				if !json.Valid(i.Payload) {
					t.Errorf("payload %s", i.Payload)
				}
				if containsSecret(i.Payload) {
					t.Errorf("the verification token is in the payload: %s", i.Payload)
				}
			}
			if diff := cmp.Diff(c.keys, keys); diff != "" {
				t.Errorf("%s (dropped: %s)", diff, rc.dropped)
			}
		})
	}
}

func containsSecret(b []byte) bool {
	var m map[string]any
	_ = json.Unmarshal(b, &m)
	for _, v := range m {
		if v == "verification-secret" {
			return true
		}
	}
	return false
}

// One URL may serve all: what it is shows in the content.
func TestReceiveForms(t *testing.T) {
	r := testReceiver()
	form := url.Values{
		"command": {"/ops"}, "text": {"es drain n3"}, "user_id": {"U1"}, "team_id": {"T0HOME"}, "channel_id": {"D1"}, "channel_name": {"directmessage"},
		"trigger_id": {"1.2"}, "response_url": {"https://hooks.slack.com/commands/1"}, "api_app_id": {"A0TWOKEY"},
	}
	rc, err := r.readForm([]byte(form.Encode()))
	if err != nil || len(rc.items) != 1 || rc.kind != kindCommand {
		t.Fatal(rc, err)
	}
	d, err := deedOf(rc.items[0])
	if err != nil {
		t.Fatal(err)
	}
	want := deed{Via: viaDM, User: "U1", Team: "T0HOME", Channel: "D1", Text: "es drain n3", URL: "https://hooks.slack.com/commands/1"}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	payload := `{"type":"block_actions","user":{"id":"U1"},"channel":{"id":"C1"},"container":{"message_ts":"5.1"},"actions":[{"action_id":"decline","value":"v","action_ts":"9"}]}`
	rc, err = r.readForm([]byte(url.Values{"payload": {payload}}.Encode()))
	if err != nil || rc.kind != kindAction || len(rc.items) != 1 {
		t.Fatal(rc, err)
	}
	for _, bad := range []string{"", "%zz", "payload=%7B", "text=hello"} {
		if rc, err := r.readForm([]byte(bad)); err == nil || len(rc.items) > 0 {
			t.Errorf("%q was read as %+v", bad, rc)
		}
	}
}

// FuzzReceive: no body makes the receiver panic or take another app's word.
func FuzzReceive(f *testing.F) {
	f.Add(envelope(`{"type":"app_mention","user":"U1","channel":"C1","ts":"5.1","text":"<@U0TWOKEY> help"}`))
	f.Add(`{"type":"block_actions","actions":[{}]}`)
	f.Add("command=/ops&trigger_id=1&user_id=U1&team_id=T0HOME")
	f.Add("payload={}")
	f.Fuzz(func(t *testing.T, body string) {
		r := testReceiver()
		for _, read := range []func([]byte) (receipt, error){r.readForm, r.readJSON} {
			rc, err := read([]byte(body))
			if err != nil && len(rc.items) > 0 {
				t.Errorf("items and the error %v", err)
			}
			for _, i := range rc.items {
				if d, err := deedOf(i); err != nil || d.User == "" || d.User == r.bot || i.Key == "" {
					t.Errorf("item %+v: %+v, %v", i, d, err)
				}
			}
		}
	})
}

func TestRedact(t *testing.T) {
	for _, s := range []string{
		"xoxb-12-abcDEF", "xapp-1-A0-12-ab", "https://user:hunter2@es-1:9200/x", "wss://wss.slack.com/link/?ticket=hunter2&app_id=1",
		"https://hooks.slack.com/commands/T0/1/hunter2", "Authorization: Bearer hunter2hunter2",
	} {
		got := redact("Get " + s + ": refused")
		for _, secret := range []string{"hunter2", "abcDEF", "A0-12"} {
			if strings.Contains(got, secret) {
				t.Errorf("redact(%q) = %q", s, got)
			}
		}
	}
	if s := "staging has no node n3: https://es-1:9200/_cat is 404"; redact(s) != s {
		t.Errorf("redact changed %q to %q", s, redact(s))
	}
}
