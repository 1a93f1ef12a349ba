package bot

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testSecret = "8f742231b10e8888abcd99yyyzzz85a5"

func sign(secret, stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, "v0:"+stamp+":"+body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// The example of Slack's documentation.
func TestSignatureOfTheDocumentation(t *testing.T) {
	const body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	if got := sign(testSecret, "1531420618", body); got != "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503" {
		t.Errorf("sign = %s: the test itself is wrong", got)
	}
}

func TestSignedBody(t *testing.T) {
	const body = `{"type":"event_callback"}`
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
		now := at(0)
		for name, c := range map[string]struct {
			secret, stamp, signature, body string
			ok                             bool
		}{
			"good":                  {testSecret, now, sign(testSecret, now, body), body, true},
			"five minutes old":      {testSecret, at(-5 * time.Minute), sign(testSecret, at(-5*time.Minute), body), body, true},
			"five minutes ahead":    {testSecret, at(5 * time.Minute), sign(testSecret, at(5*time.Minute), body), body, true},
			"too old":               {testSecret, at(-301 * time.Second), sign(testSecret, at(-301*time.Second), body), body, false},
			"too far ahead":         {testSecret, at(301 * time.Second), sign(testSecret, at(301*time.Second), body), body, false},
			"another secret":        {testSecret, now, sign("other", now, body), body, false},
			"another stamp":         {testSecret, at(time.Second), sign(testSecret, now, body), body, false},
			"another body":          {testSecret, now, sign(testSecret, now, body), body + " ", false},
			"empty body":            {testSecret, now, sign(testSecret, now, body), "", false},
			"no signature":          {testSecret, now, "", body, false},
			"no stamp":              {testSecret, "", sign(testSecret, "", body), body, false},
			"stamp is no number":    {testSecret, "now", sign(testSecret, "now", body), body, false},
			"stamp is huge":         {testSecret, "99999999999999999999", sign(testSecret, "99999999999999999999", body), body, false},
			"stamp overflows":       {testSecret, "-9223372036854775808", sign(testSecret, "-9223372036854775808", body), body, false},
			"without v0":            {testSecret, now, strings.TrimPrefix(sign(testSecret, now, body), "v0="), body, false},
			"v1":                    {testSecret, now, "v1" + strings.TrimPrefix(sign(testSecret, now, body), "v0"), body, false},
			"half a signature":      {testSecret, now, sign(testSecret, now, body)[:40], body, false},
			"signature and more":    {testSecret, now, sign(testSecret, now, body) + "00", body, false},
			"not hex":               {testSecret, now, "v0=" + strings.Repeat("zz", 32), body, false},
			"no secret configured":  {"", now, sign("", now, body), body, false},
			"body over the limit":   {testSecret, now, sign(testSecret, now, strings.Repeat("x", maxBody+1)), strings.Repeat("x", maxBody+1), false},
			"body of just the size": {testSecret, now, sign(testSecret, now, strings.Repeat("x", maxBody)), strings.Repeat("x", maxBody), true},
		} {
			r := httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader(c.body))
			r.Header.Set("X-Slack-Request-Timestamp", c.stamp)
			r.Header.Set("X-Slack-Signature", c.signature)
			got, err := signedBody(httptest.NewRecorder(), r, c.secret)
			if c.ok != (err == nil) || c.ok && string(got) != c.body {
				t.Errorf("%s: %v, want ok = %v", name, err, c.ok)
			}
		}
	})
}

// FuzzSignedBody: what was not signed with the secret never passes.
func FuzzSignedBody(f *testing.F) {
	f.Add("1531420618", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", []byte("command=/ops"))
	f.Add("", "v0=", []byte(""))
	f.Fuzz(func(t *testing.T, stamp, signature string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/slack/events", bytes.NewReader(body))
		r.Header.Set("X-Slack-Request-Timestamp", stamp)
		r.Header.Set("X-Slack-Signature", signature)
		if _, err := signedBody(httptest.NewRecorder(), r, testSecret); err == nil && !strings.EqualFold(signature, sign(testSecret, stamp, string(body))) {
			t.Errorf("passed: %q %q %q", stamp, signature, body)
		}
	})
}
