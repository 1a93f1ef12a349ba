package bot

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/slack-go/slack"
)

// verdict says what an error of a Slack call means for the message.
type verdict struct {
	kind  verdictKind
	after time.Duration // limited: as told
	doubt bool          // again: it may have been done
}

type verdictKind int

const (
	limited   verdictKind = iota // 429: the method waits, everywhere
	again                        // Slack's or the network's trouble: later, for as long as it takes
	away                         // the app itself is refused: later, and somebody must look
	malformed                    // Slack cannot show it: as plain text
	unfit                        // never in this way
)

// judge reads an error of slack-go, whose own retries must be off.
func judge(err error) verdict {
	var limit *slack.RateLimitedError
	var status slack.StatusCodeError
	var said slack.SlackErrorResponse
	var dial *net.OpError
	switch {
	case errors.As(err, &limit):
		return verdict{kind: limited, after: max(time.Second, limit.RetryAfter)}
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests:
		return verdict{kind: limited, after: unsaid}
	case errors.As(err, &status) && status.Code >= 500:
		return verdict{kind: again, doubt: true}
	case errors.As(err, &status):
		return verdict{kind: unfit}
	case errors.As(err, &said):
		return judgeWord(said.Err)
	case errors.As(err, &dial) && dial.Op == "dial":
		return verdict{kind: again} // it never reached Slack
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return verdict{kind: again, doubt: true}
	}
	return verdict{kind: again, doubt: true} // a cut connection, half an answer
}

// unsaid is how long to wait after a 429 that does not say.
const unsaid = 30 * time.Second

func judgeWord(word string) verdict {
	switch {
	case slices.Contains([]string{"ratelimited", "rate_limited", "message_limit_exceeded"}, word):
		return verdict{kind: limited, after: unsaid}
	case slices.Contains([]string{"internal_error", "fatal_error", "request_timeout", "service_unavailable"}, word):
		return verdict{kind: again, doubt: true} // "some aspect of the operation may have succeeded"
	case slices.Contains([]string{"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
		"missing_scope", "no_permission", "org_login_required", "ekm_access_denied", "access_denied",
		"two_factor_setup_required", "team_access_not_granted", "accesslimited", "not_allowed_token_type"}, word):
		return verdict{kind: away}
	case slices.Contains([]string{"msg_too_long", "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long",
		"invalid_attachments", "metadata_too_large", "invalid_metadata_format", "no_text"}, word):
		return verdict{kind: malformed}
	}
	return verdict{kind: unfit}
}

// errorWord is Slack's own word for an error, or a short text without addresses.
func errorWord(err error) string {
	var said slack.SlackErrorResponse
	if errors.As(err, &said) {
		return said.Err
	}
	return redact(err.Error())
}
