package bot

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slack-go/slack"
)

// The calls that bring a file into a thread; between them its bytes go to a URL.
const (
	uploadMethod = "files.getUploadURLExternal"
	shareMethod  = "files.completeUploadExternal"
)

// uploads reports whether the message is delivered as a file.
func (m Message) uploads() bool { return m.Act == Post && m.File != nil }

func (m Message) postMethod() string {
	switch {
	case m.File == nil:
		return "chat.postMessage"
	case m.File.ID == "":
		return uploadMethod
	case !m.File.Shared:
		return shareMethod
	}
	return ""
}

const (
	// fileTries is how often a call for a file may fail in a row, about a quarter of an
	// hour, before a post takes the file's place: an upload URL may be out of reach for
	// good where the rest of Slack is not.
	fileTries = 35
	// fileUploads is how often a file is uploaded that Slack then does not know.
	fileUploads = 3
	// fileLooksMost is how often, in about half a minute, a shared file is looked for.
	fileLooksMost = 6
	// fileSettle is how long a file may take to show after a call whose reply was lost:
	// only then is it shared again.
	fileSettle = 15 * time.Second
)

// deliverFile takes the next of three steps; each is written down, under Slack's id of
// the file, before the next begins, so that whoever goes on knows what to look for.
//
//  1. Upload the bytes. Whether it came about does not matter: nobody sees them yet, and
//     a new upload is a new file.
//  2. Share the file. Slack takes no key of ours and may do it twice if asked twice, so
//     where the outcome is not known the file is looked for in the thread first.
//  3. See it there. Slack shares asynchronously, says neither where nor when, and is
//     known to forget it; only now are the replies after it in order.
//
// What Slack refuses for good becomes an ordinary post that says so.
func (s *Sender) deliverFile(ctx context.Context, c Claimed, root Place) result {
	f := *c.File
	if f.ID == "" {
		return s.upload(ctx, c, f)
	}
	if !f.Shared && !c.Doubt {
		return s.share(ctx, c, f, root)
	}
	var more []Rate
	if root.TS != "" {
		more = append(more, fileLooks)
	}
	ts, err := s.find(ctx, root, f.Begun, hasFile(f.ID), more...)
	blind := errors.Is(err, errUnreadable) || refused(err, "missing_scope")
	switch {
	case ts != "":
		return s.sent(ctx, c, Place{Channel: root.Channel, TS: ts})
	case err != nil && !blind:
		return s.failed(ctx, c, lookup(root), err, true)
	case !f.Shared:
		return s.share(ctx, c, f, root)
	case blind:
		return s.sent(ctx, c, Place{}) // Slack's word has to do
	case c.Tries < fileLooksMost:
		return s.later(ctx, c, resendWait(c.Tries), true)
	}
	return s.withoutFile(ctx, c, "Slack took it but does not show it")
}

// hasFile tells the message with this file.
func hasFile(id string) func(slack.Message) bool {
	return func(m slack.Message) bool {
		return slices.ContainsFunc(m.Files, func(f slack.File) bool { return f.ID == id })
	}
}

// upload brings the bytes to Slack.
func (s *Sender) upload(ctx context.Context, c Claimed, f File) result {
	f.Begun = time.Now().UTC()
	f.Uploads++
	if err := ctx.Err(); err != nil {
		return s.later(ctx, c, resendWait(c.Tries), false)
	}
	u, err := s.o.Slack.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{FileName: f.Name, FileSize: len(f.Content)})
	if err == nil {
		err = s.o.Slack.UploadToURL(ctx, slack.UploadToURLParameters{UploadURL: u.UploadURL, Filename: f.Name, Content: f.Content})
	}
	if err != nil {
		return s.fileFailed(ctx, c, err)
	}
	f.ID = u.FileID
	return s.withFile(ctx, c, f)
}

// share has Slack show the file. Its comment takes no blocks.
func (s *Sender) share(ctx context.Context, c Claimed, f File, root Place) result {
	if ctx.Err() != nil {
		return s.later(ctx, c, resendWait(c.Tries), c.Doubt)
	}
	_, err := s.o.Slack.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
		Files: []slack.FileSummary{{ID: f.ID, Title: f.Name}}, Channel: root.Channel, ThreadTimestamp: root.TS, InitialComment: clip(c.Text, maxText),
	})
	switch {
	case err == nil:
		f.Shared = true
		return s.withFile(ctx, c, f)
	case refused(err, "file_not_found") && f.Uploads < fileUploads:
		f.ID = ""
		return s.withFile(ctx, c, f)
	}
	return s.fileFailed(ctx, c, err)
}

// withFile writes down how far the file is.
func (s *Sender) withFile(ctx context.Context, c Claimed, f File) result {
	m := c.Message
	m.File = &f
	return s.rewrite(ctx, c, m)
}

// withoutFile has an ordinary post take the file's place.
func (s *Sender) withoutFile(ctx context.Context, c Claimed, why string) result {
	s.log.Error("a file cannot be shown; its beginning is posted instead", "key", c.Key, "file", c.File.Name, "why", why)
	return s.rewrite(ctx, c, renderWithoutFile(c.Message, why))
}

// fileFailed notes what an error of a call for a file means. The file is given up where
// a post would still be taken; an app that is refused altogether waits, as with any post.
func (s *Sender) fileFailed(ctx context.Context, c Claimed, err error) result {
	v := judge(err)
	switch {
	case refused(err, "missing_scope", "no_permission", "access_denied", "not_allowed_token_type"):
		return s.withoutFile(ctx, c, whyNoFile(err))
	case v.kind == away:
		return s.failed(ctx, c, c.method(), err, c.Doubt)
	case v.kind == malformed, v.kind == unfit, c.Tries >= fileTries:
		return s.withoutFile(ctx, c, whyNoFile(err))
	case v.kind == again && v.doubt && c.File.ID != "":
		s.log.Warn("it is not known whether Slack shows a file", "key", c.Key, "try", c.Tries, "err", errorWord(err))
		return s.later(ctx, c, max(resendWait(c.Tries), fileSettle), true)
	}
	return s.failed(ctx, c, c.method(), err, c.Doubt)
}
