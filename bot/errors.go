package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"twokey/approvals"
	"twokey/commands"
	"twokey/ops"
)

// unknownError is one that has nothing to say to people. The log has what it wraps,
// under its id.
type unknownError struct {
	id  string
	err error
}

func (e *unknownError) Error() string { return "error " + e.id }
func (e *unknownError) Unwrap() error { return e.err }

// explain is renderError for what went wrong with w; an unknown error goes to the log
// under an id that the text shows.
func (s *Server) explain(w word, err error) string {
	if !known(err) {
		u := &unknownError{id: rand.Text()[:8], err: err}
		s.log.Error("unknown error shown to a person", "error_id", u.id, "item", w.item.Key, "user", w.User, "err", redact(err.Error()))
		err = u
	}
	return renderError(err)
}

// adviser is an error whose text is for people; Advice says what to do next.
type adviser interface {
	error
	Advice() string
}

// known reports whether renderError has more to say than that something failed.
func known(err error) bool {
	var a adviser
	var held *ops.HeldError
	var many *approvals.AmbiguousError
	return errors.As(err, &a) || errors.As(err, &held) || errors.As(err, &many) || sentence(err) != ""
}

// sentence is what a plain error value means to people; empty: nothing known.
func sentence(err error) string {
	switch {
	case errors.Is(err, approvals.ErrNotFound), errors.Is(err, ops.ErrNotFound):
		return "There is no such request or run. `list` shows those that are open."
	case errors.Is(err, ops.ErrEnded):
		return "The run has ended; there is nothing left to change."
	case errors.Is(err, ops.ErrUnknownKind):
		return "This version of me cannot do that. `help` shows what I can do."
	case errors.Is(err, approvals.ErrConflict):
		return "Somebody changed the request at the same moment. Please look at it and try again."
	case errors.Is(err, context.DeadlineExceeded):
		return "There was no answer in time. Nothing was started."
	}
	return ""
}

// renderError is an error as mrkdwn: what happened, and what to do next. Of an
// error that is not made for people it shows the id under which the log has it.
func renderError(err error) string {
	var no *approvals.RefusedError
	var usage *commands.UsageError
	var a adviser
	var held *ops.HeldError
	var many *approvals.AmbiguousError
	var unknown *unknownError
	switch {
	case errors.As(err, &no):
		return sentences(escapeExceptMentions(redact(capital(no.Why))), escapeExceptMentions(redact(no.Next)))
	case errors.As(err, &usage):
		return sentences(escape(redact(capital(usage.What))), escape(redact(usage.Next)))
	case errors.As(err, &a): // it may begin with a name
		return sentences(escape(redact(a.Error())), escape(redact(a.Advice())))
	case errors.As(err, &held):
		return fmt.Sprintf("Run `%s` (%s), asked for by %s, is working on the same %s. `show %[1]s` says how far it is; try again when it has ended.",
			short(held.Run), escape(held.Title), user(held.By), escape(held.Kind()))
	case errors.As(err, &many):
		ids := make([]string, len(many.IDs))
		for i, id := range many.IDs {
			ids[i] = "`" + id + "`"
		}
		return fmt.Sprintf("%s may mean %s. Please type more of it.", escape(many.Suffix), join(ids, "or"))
	case sentence(err) != "":
		return sentence(err)
	case errors.As(err, &unknown):
		return fmt.Sprintf("Something went wrong on my side (error `%s`; the log has the details under this id).", unknown.id)
	}
	return "Something went wrong on my side; the log has the details."
}

// sentences joins what and next into sentences, whichever of them end in a stop.
func sentences(what, next string) string {
	what = strings.TrimSpace(what)
	if what != "" && !strings.ContainsAny(what[len(what)-1:], ".!?:") {
		what += "."
	}
	return strings.TrimSpace(what + " " + strings.TrimSpace(next))
}

// capital begins a sentence with a capital letter, unless its first word is a
// command's or a name with digits or dashes in it.
func capital(s string) string {
	first, _, _ := strings.Cut(s, " ")
	small := func(r rune) bool { return r >= 'a' && r <= 'z' }
	if first == "" || strings.ContainsFunc(first, func(r rune) bool { return !small(r) }) {
		return s
	}
	for _, c := range commands.Catalog() {
		if c.Path[0] == first {
			return s
		}
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// shortID is how many last characters of an id people are shown.
const shortID = 6

// short is the ending of an id that people see and may type.
func short(id string) string { return id[max(0, len(id)-shortID):] }

// secrets are shapes that must not be shown or logged, with what stands for them:
// Slack's tokens, passwords and queries in addresses, response_urls and upload URLs, logins
// in headers.
var secrets = []struct {
	shape *regexp.Regexp
	by    string
}{
	{regexp.MustCompile(`\bx(?:ox[a-z]|app)-[A-Za-z0-9-]+`), "xox…"},
	{regexp.MustCompile(`(\b[a-z][a-z0-9+.-]*://)[^/\s@"]+@`), "${1}…@"},
	{regexp.MustCompile(`(\b[a-z][a-z0-9+.-]*://[^\s"?]*)\?[^\s"]*`), "${1}?…"},
	{regexp.MustCompile(`(webhook: Post "[^/"]*//[^/"]*/)[^"]*`), "${1}…"}, // a response_url of any host
	{regexp.MustCompile(`(https?://hooks\.slack\.com/)[^\s"]*`), "${1}…"},
	{regexp.MustCompile(`(/upload/v1/)[^\s"]+`), "${1}…"}, // whoever has it may put a file there
	{regexp.MustCompile(`(?i)\b(bearer|basic|apikey) [A-Za-z0-9+/=._-]{8,}`), "$1 …"},
}

// redact masks what looks like a secret.
func redact(s string) string {
	for _, secret := range secrets {
		s = secret.shape.ReplaceAllString(s, secret.by)
	}
	return s
}
