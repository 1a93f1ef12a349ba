package bot

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// escaper replaces Slack's three control characters and nothing else. With "<"
// gone no text of others can be a token, so neither <!channel> nor <@U…> is
// ever echoed; a plain "@here" pings nobody, because no call sets link_names and
// every one that could sets parse to none.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape makes plain text safe for mrkdwn. Text that people, servers or
// configuration wrote passes through it exactly once.
func escape(s string) string { return escaper.Replace(s) }

// bold is mrkdwn in bold. A text with a "*" in it, such as a pattern, stays plain: mrkdwn
// knows no way to write one within bold.
func bold(mrkdwn string) string {
	if strings.Contains(mrkdwn, "*") {
		return mrkdwn
	}
	return "*" + mrkdwn + "*"
}

// user is the mention of a user id. What is no id stays text: only ids become tokens.
func user(id string) string {
	if !isID(id, "UW") {
		return escape(id)
	}
	return "<@" + id + ">"
}

// group is the mention of a user group's id.
func group(id string) string {
	if !isID(id, "S") {
		return escape(id)
	}
	return "<!subteam^" + id + ">"
}

// channelRef is the link to a channel of this id.
func channelRef(id string) string {
	if !isID(id, "CGD") {
		return escape(id)
	}
	return "<#" + id + ">"
}

// isID reports whether s looks like an id of Slack's whose first letter is one of
// kinds: capital letters and digits only, so that it cannot end a token.
func isID(s, kinds string) bool {
	if len(s) < 2 || !strings.Contains(kinds, s[:1]) {
		return false
	}
	for _, c := range s {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// date is a time as each reader's Slack shows it, with UTC for clients that cannot.
func date(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", t.Unix(), t.UTC().Format("2006-01-02 15:04 UTC"))
}

// join joins words as people write them: "a, b or c".
func join(words []string, last string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
	}
	return strings.Join(words, "")
}

// mention is what Slack's tokens for people, channels and user groups look like once
// escaped. None of them reaches a whole channel.
var mention = regexp.MustCompile(`&lt;(@[UW][A-Z0-9]+|#[CGD][A-Z0-9]+|!subteam\^S[A-Z0-9]+)&gt;`)

// escapeExceptMentions is escape for sentences of our own that name people by token,
// such as those of approvals.RefusedError and ops.Event. No text of a person or a
// server may be among them: it could mention somebody.
func escapeExceptMentions(s string) string { return mention.ReplaceAllString(escape(s), "<$1>") }
