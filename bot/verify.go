package bot

import (
	"errors"
	"io"
	"net/http"

	"github.com/slack-go/slack"
)

// maxBody is the largest request body read, in bytes. Slack's own are far smaller.
const maxBody = 1 << 20

var errNoSecret = errors.New("no signing secret is configured")

// signedBody reads the body of a request and checks Slack's v0 signature over it:
// HMAC-SHA256 of "v0:timestamp:body", a timestamp at most five minutes from now in
// either direction, compared in constant time. With an error comes the body that was
// not signed, if it could be read. The error is for the log: a sender learns
// nothing from it.
func signedBody(w http.ResponseWriter, r *http.Request, secret string) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if secret == "" {
		return body, errNoSecret
	}
	v, err := slack.NewSecretsVerifier(r.Header, secret)
	if err != nil {
		return body, err
	}
	if _, err := v.Write(body); err != nil {
		return body, err
	}
	return body, v.Ensure()
}
