package slacksim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func TestPostEditDelete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		meta := slack.SlackMetadata{EventType: "twokey", EventPayload: map[string]any{"key": "card:1"}}
		section := slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", "*drain* n3", false, false), nil, nil)
		_, ts, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("drain n3", false),
			slack.MsgOptionBlocks(section), slack.MsgOptionMetadata(meta))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(ts, ".000100") {
			t.Errorf("ts = %s", ts)
		}
		_, reply, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("step 1", false), slack.MsgOptionTS(ts))
		if err != nil {
			t.Fatal(err)
		}
		// A text alone leaves the blocks: the trap of old cards keeping their buttons.
		if _, _, _, err := w.api.UpdateMessage("C0OPS", ts, slack.MsgOptionText("done", false)); err != nil {
			t.Fatal(err)
		}
		m := w.Channel("C0OPS")[0]
		if m.Text != "done" || m.Blocks == nil || m.Metadata == nil || len(m.Edits) != 1 || m.Edits[0].Text != "drain n3" {
			t.Errorf("after a text-only edit: %+v", m)
		}
		if _, _, _, err := w.api.UpdateMessage("C0OPS", ts, slack.MsgOptionText("done", false), slack.MsgOptionBlocks()); err != nil {
			t.Fatal(err)
		}
		if m := w.Channel("C0OPS")[0]; m.Blocks != nil {
			t.Errorf("blocks=[] left %s", m.Blocks)
		}
		got, _, _, err := w.api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: "C0OPS", Timestamp: ts, IncludeAllMetadata: true})
		if err != nil || len(got) != 2 || got[0].Metadata.EventPayload["key"] != "card:1" || got[1].Timestamp != reply {
			t.Errorf("replies = %+v, %v", got, err)
		}
		got, _, _, err = w.api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: "C0OPS", Timestamp: ts})
		if err != nil || got[0].Metadata.EventType != "" {
			t.Errorf("metadata came without include_all_metadata: %+v, %v", got, err)
		}
		if _, _, err := w.api.DeleteMessage("C0OPS", ts); err != nil {
			t.Fatal(err)
		}
		if ms := w.Thread("C0OPS", ts); len(ms) != 1 || ms[0].TS != reply {
			t.Errorf("after deleting the root: %+v", ms)
		}
		w.clean(t)
	})
}

func TestPostIsNotIdempotent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		w.Fault(slacksim.Fault{Method: "chat.postMessage", DropReply: true})
		meta := slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "twokey", EventPayload: map[string]any{"key": "k"}})
		if _, _, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("a", false), meta); err == nil {
			t.Fatal("the reply was to be lost")
		}
		if _, _, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("a", false), meta); err != nil {
			t.Fatal(err)
		}
		if n := len(w.Channel("C0OPS")); n != 2 {
			t.Errorf("%d messages, want both", n)
		}
		cs := w.Calls()
		if len(cs) != 2 || !cs[0].Effect || cs[0].Status != 0 || cs[1].Status != 200 {
			t.Errorf("calls = %+v", cs)
		}
	})
}

func TestRefusals(t *testing.T) {
	text := slack.MsgOptionText("x", false)
	long := slack.MsgOptionText(strings.Repeat("x", 4001), false)
	tests := []struct {
		name string
		call func(w *world, root, reply string) error
		want string
		bug  bool // also a violation
	}{
		{"unknown channel", post("C0NONE", text), "channel_not_found", false},
		{"not a member", post("C0AWAY", text), "not_in_channel", false},
		{"private, not a member", post("G0SECRET", text), "channel_not_found", false},
		{"archived", post("C0OLD", text), "is_archived", false},
		{"nothing said", post("C0OPS"), "no_text", true},
		{"empty blocks alone", post("C0OPS", slack.MsgOptionBlocks()), "no_text", true},
		{"reply to a reply", func(w *world, _, reply string) error {
			return post("C0OPS", text, slack.MsgOptionTS(reply))(w, "", "")
		}, "cannot_reply_to_message", true},
		{"reply to nothing", post("C0OPS", text, slack.MsgOptionTS("1.000001")), "invalid_thread_ts", true},
		{"edit of nothing", func(w *world, _, _ string) error {
			_, _, _, err := w.api.UpdateMessage("C0OPS", "1.000001", text)
			return err
		}, "message_not_found", false},
		{"edit of another's", func(w *world, _, _ string) error {
			_, _, _, err := w.api.UpdateMessage("C0OPS", must(w.Say("U0BOB", "C0OPS", "hi", "")), text)
			return err
		}, "cant_update_message", true},
		{"edit over a user id", func(w *world, root, _ string) error {
			_, _, _, err := w.api.UpdateMessage("U0BOB", root, text)
			return err
		}, "channel_not_found", false},
		{"long edit", func(w *world, root, _ string) error {
			_, _, _, err := w.api.UpdateMessage("C0OPS", root, long)
			return err
		}, "msg_too_long", true},
		{"long whisper", func(w *world, _, _ string) error {
			_, err := w.api.PostEphemeral("C0OPS", "U0BOB", long)
			return err
		}, "msg_too_long", true},
		{"whisper to an absent person", func(w *world, _, _ string) error {
			_, err := w.api.PostEphemeral("C0OPS", "U0NOBODY", text)
			return err
		}, "user_not_in_channel", false},
		{"unknown user", func(w *world, _, _ string) error { _, err := w.api.GetUserInfo("U0NOBODY"); return err }, "user_not_found", false},
		{"unknown group", func(w *world, _, _ string) error { _, err := w.api.GetUserGroupMembers("S0NO"); return err }, "no_such_subteam", false},
		{"disabled group", func(w *world, _, _ string) error { _, err := w.api.GetUserGroupMembers("S0OLD"); return err }, "no_such_subteam", false},
		{"no scope", func(w *world, root, _ string) error {
			return w.api.AddReaction("eyes", slack.NewRefToMessage("C0OPS", root))
		}, "missing_scope", true},
		{"no scope for channels.info", func(w *world, _, _ string) error {
			_, err := w.api.GetConversationInfo(&slack.GetConversationInfoInput{ChannelID: "C0OPS"})
			return err
		}, "missing_scope", true},
		{"unknown method", func(w *world, _, _ string) error { _, err := w.api.GetEmoji(); return err }, "unknown_method", true},
		{"history elsewhere", func(w *world, _, _ string) error {
			_, err := w.api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: "C0AWAY"})
			return err
		}, "not_in_channel", false},
		{"thread of nothing", func(w *world, _, _ string) error {
			_, _, _, err := w.api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: "C0OPS", Timestamp: "1.1"})
			return err
		}, "thread_not_found", false},
		{"wrong token", func(w *world, _, _ string) error {
			_, err := slack.New("xoxb-no", slack.OptionAPIURL(w.URL()+"/api/"), slack.OptionHTTPClient(w.http)).AuthTest()
			return err
		}, "invalid_auth", false},
		{"app token on a bot method", func(w *world, _, _ string) error {
			_, err := slack.New(w.Options().AppToken, slack.OptionAPIURL(w.URL()+"/api/"), slack.OptionHTTPClient(w.http)).AuthTest()
			return err
		}, "not_allowed_token_type", true},
		{"bot token for a socket", func(w *world, _, _ string) error {
			c := slack.New("x", slack.OptionAppLevelToken(w.Options().BotToken), slack.OptionAPIURL(w.URL()+"/api/"), slack.OptionHTTPClient(w.http))
			_, _, err := c.StartSocketModeContext(context.Background())
			return err
		}, "not_allowed_token_type", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, slacksim.Options{})
				_, root, _ := w.api.PostMessage("C0OPS", text)
				_, reply, _ := w.api.PostMessage("C0OPS", text, slack.MsgOptionTS(root))
				if got := slackError(tt.call(w, root, reply)); got != tt.want {
					t.Errorf("error %q, want %q", got, tt.want)
				}
				if got := len(w.Violations()) > 0; got != tt.bug {
					t.Errorf("violations %v, want any: %v", w.Violations(), tt.bug)
				}
			})
		})
	}
}

func post(channel string, o ...slack.MsgOption) func(*world, string, string) error {
	return func(w *world, _, _ string) error {
		_, _, err := w.api.PostMessage(channel, o...)
		return err
	}
}

// TestRawRequests covers what slack-go never sends.
func TestRawRequests(t *testing.T) {
	const form, jsonType = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	tests := []struct {
		name, method, kind, body, token, want string
	}{
		{"json post", "chat.postMessage", jsonType, `{"channel":"C0OPS","text":"x","blocks":[{"type":"divider"}]}`, "xoxb-slacksim", ""},
		{"json body token is not read", "chat.postMessage", jsonType, `{"token":"xoxb-slacksim","channel":"C0OPS","text":"x"}`, "", "not_authed"},
		{"read method ignores json", "users.info", jsonType, `{"user":"U0BOB"}`, "xoxb-slacksim", "invalid_arguments"},
		{"unknown argument", "chat.postMessage", form, "channel=C0OPS&text=x&client_msg_id=7", "xoxb-slacksim", "invalid_arguments"},
		{"missing argument", "chat.update", form, "channel=C0OPS&text=x", "xoxb-slacksim", "invalid_arguments"},
		{"no token", "auth.test", form, "", "", "not_authed"},
		{"app token in the body", "apps.connections.open", form, "token=xapp-slacksim", "", "not_authed"},
		{"wrong content type", "chat.postMessage", "text/plain", "channel=C0OPS", "xoxb-slacksim", "invalid_post_type"},
		{"blocks not json", "chat.postMessage", form, "channel=C0OPS&blocks=[", "xoxb-slacksim", "invalid_blocks_format"},
		{"metadata not an object", "chat.postMessage", form, "channel=C0OPS&text=x&metadata=7", "xoxb-slacksim", "invalid_metadata_format"},
		{"metadata without payload", "chat.postMessage", form, "channel=C0OPS&text=x&metadata=" + url.QueryEscape(`{"event_type":"a"}`), "xoxb-slacksim", "invalid_metadata_format"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, slacksim.Options{})
				req := must(http.NewRequest(http.MethodPost, w.URL()+"/api/"+tt.method, strings.NewReader(tt.body)))
				req.Header.Set("Content-Type", tt.kind)
				if tt.token != "" {
					req.Header.Set("Authorization", "Bearer "+tt.token)
				}
				resp := must(w.http.Do(req))
				defer resp.Body.Close()
				var got struct {
					OK    bool
					Error string
				}
				raw := must(io.ReadAll(resp.Body))
				if err := json.Unmarshal(raw, &got); err != nil || got.Error != tt.want || got.OK != (tt.want == "") {
					t.Errorf("answer %s, want error %q", raw, tt.want)
				}
				if bad := len(w.Violations()); (bad > 0) != (tt.want != "") {
					t.Errorf("violations: %v", w.Violations())
				}
			})
		})
	}
}

func TestTextIsCutAt40000(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		if _, _, err := w.api.PostMessage("C0OPS", slack.MsgOptionText(strings.Repeat("é", 41_000), false)); err != nil {
			t.Fatal(err)
		}
		if n := len([]rune(w.Channel("C0OPS")[0].Text)); n != 40_000 {
			t.Errorf("%d characters kept", n)
		}
		if len(w.Violations()) != 1 {
			t.Errorf("violations: %v", w.Violations())
		}
	})
}

func TestUserIDPostsToTheDirectChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		ch, _, err := w.api.PostMessage("U0BOB", slack.MsgOptionText("hello", false))
		if err != nil || ch != w.DM("U0BOB") || len(w.Channel(ch)) != 1 {
			t.Errorf("posted to %s, %v", ch, err)
		}
		c, _, already, err := w.api.OpenConversation(&slack.OpenConversationParameters{Users: []string{"U0BOB"}})
		if err != nil || c.ID != ch || !already {
			t.Errorf("open = %+v, %v, %v", c, already, err)
		}
		w.clean(t)
	})
}

func TestPeopleAndGroups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		for id, want := range map[string]slack.User{
			"U0ALICE": {TeamID: "T0HOME"},
			"U0GUS":   {TeamID: "T0HOME", IsRestricted: true},
			"U0DORA":  {TeamID: "T0HOME", Deleted: true},
			"U0FAY":   {TeamID: "T0OTHER"},
			"U0CI":    {TeamID: "T0HOME", IsBot: true},
		} {
			u, err := w.api.GetUserInfo(id)
			if err != nil || u.TeamID != want.TeamID || u.IsRestricted != want.IsRestricted || u.Deleted != want.Deleted || u.IsBot != want.IsBot {
				t.Errorf("%s = %+v, %v", id, u, err)
			}
		}
		us, err := w.api.GetUserGroupMembers("S0SRE")
		if err != nil || !slices.Equal(us, []string{"U0BOB"}) {
			t.Errorf("members = %v, %v", us, err)
		}
		gs, err := w.api.GetUserGroups(slack.GetUserGroupsOptionIncludeUsers(true))
		if err != nil || len(gs) != 1 || gs[0].Handle != "sre" || len(gs[0].Users) != 1 {
			t.Errorf("groups = %+v, %v", gs, err)
		}
		a, err := w.api.AuthTest()
		if err != nil || a.TeamID != "T0HOME" || a.UserID != "U0TWOKEY" || a.BotID != "B0TWOKEY" {
			t.Errorf("auth.test = %+v, %v", a, err)
		}
		w.clean(t)
	})
}

func TestPaging(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		root := must(w.Say("U0BOB", "C0OPS", "root", ""))
		for range 5 {
			must(w.Say("U0BOB", "C0OPS", "reply", root))
			must(w.Say("U0BOB", "C0OPS", "other", ""))
		}
		var seen []string
		p := &slack.GetConversationRepliesParameters{ChannelID: "C0OPS", Timestamp: root, Limit: 2}
		for more := true; more; {
			var ms []slack.Message
			var err error
			if ms, more, p.Cursor, err = w.api.GetConversationReplies(p); err != nil {
				t.Fatal(err)
			}
			if ms[0].Timestamp != root {
				t.Errorf("page begins with %s", ms[0].Text)
			}
			for _, m := range ms[1:] {
				seen = append(seen, m.Timestamp)
			}
		}
		if len(seen) != 5 || !slices.IsSorted(seen) {
			t.Errorf("replies seen: %v", seen)
		}
		h, err := w.api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: "C0OPS", Oldest: root, Limit: 3})
		if err != nil || len(h.Messages) != 3 || !h.HasMore || h.Messages[0].Text != "other" || h.Messages[0].Timestamp < h.Messages[1].Timestamp {
			t.Errorf("history = %+v, %v", h, err)
		}
		w.clean(t)
	})
}
