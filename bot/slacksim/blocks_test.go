package slacksim_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func TestBlocks(t *testing.T) {
	x := func(n int) string { return strings.Repeat("é", n) }
	section := func(n int) string { return `{"type":"section","text":{"type":"mrkdwn","text":"` + x(n) + `"}}` }
	button := func(fields string) string {
		return `{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Go"}` + fields + `}]}`
	}
	many := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	tests := []struct {
		name, blocks, want string // want: part of the explanation; empty: accepted
	}{
		{"section at the limit", section(3000), ""},
		{"section too long", section(3001), "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"},
		{"section empty", section(0), "must be more than 0 characters"},
		{"section without text", `{"type":"section"}`, "missing required field: text"},
		{"ten fields", `{"type":"section","fields":[` + many(10, `{"type":"mrkdwn","text":"a"}`) + `]}`, ""},
		{"eleven fields", `{"type":"section","fields":[` + many(11, `{"type":"mrkdwn","text":"a"}`) + `]}`, "no more than 10 items"},
		{"field too long", `{"type":"section","fields":[{"type":"mrkdwn","text":"` + x(2001) + `"}]}`, "2001 characters"},
		{"header at the limit", `{"type":"header","text":{"type":"plain_text","text":"` + x(150) + `"}}`, ""},
		{"header too long", `{"type":"header","text":{"type":"plain_text","text":"` + x(151) + `"}}`, "151 characters"},
		{"header in mrkdwn", `{"type":"header","text":{"type":"mrkdwn","text":"a"}}`, "must be plain_text"},
		{"fifty blocks", many(50, `{"type":"divider"}`), ""},
		{"fifty-one blocks", many(51, `{"type":"divider"}`), "no more than 50 items allowed"},
		{"context", `{"type":"context","elements":[{"type":"mrkdwn","text":"a"}]}`, ""},
		{"eleven in context", `{"type":"context","elements":[` + many(11, `{"type":"mrkdwn","text":"a"}`) + `]}`, "no more than 10"},
		{"button", button(`,"action_id":"a","value":"v","style":"primary"`), ""},
		{"button style", button(`,"style":"default"`), "must be one of primary, danger"},
		{"button value", button(`,"value":"` + x(2001) + `"`), "2001 characters"},
		{"action id", button(`,"action_id":"` + x(256) + `"`), "256 characters"},
		{"confirm", button(`,"confirm":{"title":{"type":"plain_text","text":"a"},"text":{"type":"plain_text","text":"b"}}`), ""},
		{"confirm without title", button(`,"confirm":{"text":{"type":"plain_text","text":"b"}}`), "missing required field: title"},
		{"button label", `{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"` + x(76) + `"}}]}`, "76 characters"},
		{"same action twice", `{"type":"actions","elements":[` + many(2, `{"type":"button","action_id":"a","text":{"type":"plain_text","text":"Go"}}`) + `]}`, "already exists"},
		{"no elements", `{"type":"actions","elements":[]}`, "no fewer than 1"},
		{"same block id", many(2, `{"type":"divider","block_id":"d"}`), "already exists"},
		{"unknown property", `{"type":"divider","colour":"red"}`, "invalid additional property: colour"},
		{"unknown type", `{"type":"alert"}`, "unsupported type: alert"},
		{"markdown", `{"type":"markdown","text":"# a"}`, ""},
		{"markdown together", many(2, `{"type":"markdown","text":"`+x(6001)+`"}`), "12002 characters together"},
		{"plan", `{"type":"plan","title":"p","tasks":[{"type":"task_card","task_id":"1","title":"a","status":"complete"}]}`, ""},
		{"plan, wrong status", `{"type":"plan","title":"p","tasks":[{"type":"task_card","task_id":"1","title":"a","status":"completed"}]}`, "must be one of pending"},
		{"plan beside task_card", `{"type":"plan","title":"p"},{"type":"task_card","task_id":"1","title":"a"}`, "exclude each other"},
		{"table", `{"type":"table","rows":[[{"type":"raw_text","text":"a"}]]}`, ""},
		{"table cell", `{"type":"table","rows":[[{"type":"mrkdwn","text":"a"}]]}`, "must be raw_text or rich_text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, slacksim.Options{})
				_, ts, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("x", false))
				if err != nil {
					t.Fatal(err)
				}
				// An edit, because a post has a limit on all blocks together, too.
				word, messages := w.form(t, "chat.update", url.Values{
					"channel": {"C0OPS"}, "ts": {ts}, "text": {"x"}, "blocks": {"[" + tt.blocks + "]"},
				})
				switch {
				case tt.want == "" && word != "":
					t.Errorf("refused: %s %v", word, messages)
				case tt.want != "" && (word != "invalid_blocks" || !strings.Contains(strings.Join(messages, "\n"), tt.want)):
					t.Errorf("got %q %v, want invalid_blocks with %q", word, messages, tt.want)
				case (len(w.Violations()) > 0) != (tt.want != ""):
					t.Errorf("violations: %v", w.Violations())
				}
			})
		})
	}
}

// TestBlocksTogether: a post whose blocks are each within limits can still be too much.
func TestBlocksTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var blocks []slack.Block
		for range 5 {
			blocks = append(blocks, slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", strings.Repeat("x", 2900), false, false), nil, nil))
		}
		_, _, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("x", false), slack.MsgOptionBlocks(blocks...))
		if slackError(err) != "msg_blocks_too_long" {
			t.Errorf("14,500 characters of blocks: %v", err)
		}
	})
}
