package slacksim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

const list = "doc-1\tfailed to parse field [n]\ndoc-2\t<b>&é\n"

// announce asks for an upload URL and fails the test if there is none.
func (w *world) announce(t *testing.T, size int) *slack.GetUploadURLExternalResponse {
	t.Helper()
	u, err := w.api.GetUploadURLExternalContext(t.Context(), slack.GetUploadURLExternalParameters{FileName: "refused.tsv", FileSize: size})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (w *world) upload(t *testing.T, u *slack.GetUploadURLExternalResponse, content string) error {
	t.Helper()
	return w.api.UploadToURL(t.Context(), slack.UploadToURLParameters{UploadURL: u.UploadURL, Filename: "refused.tsv", Content: content})
}

func (w *world) complete(t *testing.T, p slack.CompleteUploadExternalParameters) error {
	t.Helper()
	_, err := w.api.CompleteUploadExternalContext(t.Context(), p)
	return err
}

// A file shows as a reply a while after it was shared, with its id alone for an app
// without files:read, and its text at the page's link.
func TestFileInAThread(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{Events: []string{}, ShareAfter: 3 * time.Second})
		_, root, _ := w.api.PostMessage("C0OPS", slack.MsgOptionText("card", false))
		u := w.announce(t, len(list))
		if err := w.upload(t, u, list); err != nil {
			t.Fatal(err)
		}
		if err := w.complete(t, slack.CompleteUploadExternalParameters{
			Files: []slack.FileSummary{{ID: u.FileID, Title: "Refused"}}, Channel: "C0OPS", ThreadTimestamp: root, InitialComment: "2 documents",
		}); err != nil {
			t.Fatal(err)
		}
		if n := len(w.Thread("C0OPS", root)); n != 1 {
			t.Errorf("%d messages at once: sharing is asynchronous", n)
		}
		time.Sleep(4 * time.Second)
		replies, _, _, err := w.api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: "C0OPS", Timestamp: root})
		if err != nil || len(replies) != 2 || replies[1].Text != "2 documents" || len(replies[1].Files) != 1 ||
			replies[1].Files[0].ID != u.FileID || replies[1].Files[0].Name != "" {
			t.Fatalf("replies %+v, %v", replies, err)
		}
		f := w.Thread("C0OPS", root)[1].Files[0]
		if f.Name != "refused.tsv" || f.Title != "Refused" || f.Content != list {
			t.Errorf("file %+v", f)
		}

		s := w.seen(t, "as=U0BOB&channel=C0OPS&thread="+root)
		if len(s.Thread) != 2 || len(s.Thread[1].Files) != 1 || s.Thread[1].Files[0].Name != "refused.tsv" || s.Thread[1].Files[0].Size != len(list) {
			t.Errorf("the page has %+v", s.Thread)
		}
		resp, text := w.get(t, "/sandbox/file/"+u.FileID)
		if h := resp.Header; text != list || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(h.Get("Content-Disposition"), "refused.tsv") {
			t.Errorf("at the link: %q %v", text, h)
		}
		if resp, _ := w.get(t, "/sandbox/file/F0NONE"); resp.StatusCode != http.StatusNotFound {
			t.Errorf("no such file: %s", resp.Status)
		}
		w.clean(t)
	})
}

func TestFileRefusals(t *testing.T) {
	file := func(id string) []slack.FileSummary { return []slack.FileSummary{{ID: id}} }
	tests := []struct {
		name string
		call func(t *testing.T, w *world, ready string) error
		want string
		bug  bool
	}{
		{"unknown channel", func(t *testing.T, w *world, ready string) error {
			return w.complete(t, slack.CompleteUploadExternalParameters{Files: file(ready), Channel: "C0NONE"})
		}, "channel_not_found", false},
		{"not a member", func(t *testing.T, w *world, ready string) error {
			return w.complete(t, slack.CompleteUploadExternalParameters{Files: file(ready), Channel: "C0AWAY"})
		}, "not_in_channel", false},
		{"reply to nothing", func(t *testing.T, w *world, ready string) error {
			return w.complete(t, slack.CompleteUploadExternalParameters{Files: file(ready), Channel: "C0OPS", ThreadTimestamp: "1.000001"})
		}, "invalid_thread_ts", true},
		{"unknown file", func(t *testing.T, w *world, _ string) error {
			return w.complete(t, slack.CompleteUploadExternalParameters{Files: file("F0NONE"), Channel: "C0OPS"})
		}, "file_not_found", true},
		{"no bytes", func(t *testing.T, w *world, _ string) error {
			return w.complete(t, slack.CompleteUploadExternalParameters{Files: file(w.announce(t, 3).FileID), Channel: "C0OPS"})
		}, "file_not_found", true},
		{"no files", func(t *testing.T, w *world, _ string) error {
			return w.complete(t, slack.CompleteUploadExternalParameters{Channel: "C0OPS"})
		}, "invalid_arguments", true},
		{"another length", func(t *testing.T, w *world, _ string) error {
			return w.upload(t, w.announce(t, len(list)-1), list)
		}, "slack server error: 400 Bad Request", true},
		{"URL used twice", func(t *testing.T, w *world, _ string) error {
			u := w.announce(t, len(list))
			if err := w.upload(t, u, list); err != nil {
				return err
			}
			return w.upload(t, u, list)
		}, "slack server error: 400 Bad Request", true},
		{"URL used after a lost reply", func(t *testing.T, w *world, _ string) error {
			u := w.announce(t, len(list))
			w.Fault(slacksim.Fault{Method: "upload_url", DropReply: true})
			if err := w.upload(t, u, list); err == nil {
				t.Error("the reply was to be lost")
			}
			return w.upload(t, u, list)
		}, "slack server error: 400 Bad Request", true},
		{"no such URL", func(t *testing.T, w *world, _ string) error {
			return w.upload(t, &slack.GetUploadURLExternalResponse{UploadURL: w.URL() + "/upload/v1/none"}, list)
		}, "slack server error: 400 Bad Request", true},
		{"URL out of order", func(t *testing.T, w *world, _ string) error {
			w.Fault(slacksim.Fault{Method: "upload_url", Status: 503})
			return w.upload(t, w.announce(t, len(list)), list)
		}, "slack server error: 503 Service Unavailable", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, slacksim.Options{})
				u := w.announce(t, len(list))
				if err := w.upload(t, u, list); err != nil {
					t.Fatal(err)
				}
				if got := slackError(tt.call(t, w, u.FileID)); got != tt.want {
					t.Errorf("error %q, want %q", got, tt.want)
				}
				if got := len(w.Violations()) > 0; got != tt.bug {
					t.Errorf("violations %v, want any: %v", w.Violations(), tt.bug)
				}
				time.Sleep(time.Minute)
				if n := len(w.Channel("C0OPS")); n != 0 {
					t.Errorf("%d messages", n)
				}
			})
		})
	}
}

// Without the scope nothing is uploaded; a repeated completion shares the file again; a
// file that was lost never shows, though Slack said it would.
func TestFileScopeRepetitionAndLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bare := newWorld(t, slacksim.Options{Scopes: []string{"chat:write"}})
		_, err := bare.api.GetUploadURLExternalContext(t.Context(), slack.GetUploadURLExternalParameters{FileName: "a", FileSize: 1})
		if slackError(err) != "missing_scope" {
			t.Errorf("without the scope: %v", err)
		}
		w := newWorld(t, slacksim.Options{})
		u := w.announce(t, len(list))
		if err := w.upload(t, u, list); err != nil {
			t.Fatal(err)
		}
		share := slack.CompleteUploadExternalParameters{Files: []slack.FileSummary{{ID: u.FileID}}, Channel: "C0OPS"}
		w.Fault(slacksim.Fault{Method: "files.completeUploadExternal", Channel: "C0OPS", NeverShown: true})
		for i := range 3 {
			if err := w.complete(t, share); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if n := len(w.Channel("C0OPS")); n != i {
				t.Errorf("%d messages after %d calls", n, i+1)
			}
		}
		w.clean(t)
	})
}
