package indices_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/indices"
	"twokey/ops/elastic/indices/registertest"
)

const registerToken = "hunter2-token"

// registerAt is a register behind h.
func registerAt(t *testing.T, h http.Handler) *indices.RegisterHTTP {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: s.URL + "/indexes/", Token: registerToken})
}

func TestRegisterHTTP(t *testing.T) {
	registertest.Run(t, func(t *testing.T) indices.Register {
		return registerAt(t, registertest.NewServer("/indexes", registerToken))
	})
}

// forPeople fails unless err is a *ops.UserError with these words and no secret.
func forPeople(t *testing.T, err error, words ...string) {
	t.Helper()
	var u *ops.UserError
	if !errors.As(err, &u) || errors.Is(err, indices.ErrRegisterChanged) {
		t.Errorf("not for people: %v", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(u.What+" "+u.Next, w) {
			t.Errorf("%q | %q does not say %q", u.What, u.Next, w)
		}
	}
	if strings.Contains(u.What+u.Next, registerToken) || u.Err != nil && strings.Contains(u.Err.Error(), registerToken) {
		t.Errorf("holds the token: %v", err)
	}
}

var anEntry = indices.Entry{Active: "v1_17", Write: []string{"v1_17"}}

// TestRegisterHTTPAnswers: what is not an entry is an error for people, and never no entry.
func TestRegisterHTTPAnswers(t *testing.T) {
	for _, c := range []struct {
		name     string
		status   int
		etag     string
		body     string
		get, put string
	}{
		{"token refused", 401, "", "", "refused Twokey's token", "refused Twokey's token"},
		{"forbidden", 403, "", "", "does not allow Twokey to read the entry dashboard-17", "does not allow Twokey to write the entry dashboard-17"},
		{"broken", 500, "", registerToken, "answered 500 to a GET of dashboard-17", "answered 500 to a PUT of dashboard-17"},
		{"no such method", 405, "", "", "answered 405", "answered 405"},
		{"nothing", 204, `"1"`, "", "answered 204", ""},
		{"not JSON", 200, `"1"`, "<html>", "is not the JSON of an entry", ""},
		{"two values", 200, `"1"`, `{"active":"a","write":["a"]} {}`, "is not the JSON of an entry", ""},
		{"a list", 200, `"1"`, `[]`, "is not the JSON of an entry", ""},
		{"a text", 200, `"1"`, `{"active":"a","write":"a"}`, "is not the JSON of an entry", ""},
		{"no write", 200, `"1"`, `{"active":"a"}`, "lacks active or write", ""},
		{"null write", 200, `"1"`, `{"active":"a","write":null}`, "lacks active or write", ""},
		{"null in write", 200, `"1"`, `{"active":"a","write":[null]}`, "empty name in write", ""},
		{"no active", 200, `"1"`, `{"write":["a"]}`, "lacks active or write", ""},
		{"too long", 200, `"1"`, `{"active":"` + strings.Repeat("a", 1<<20) + `","write":[]}`, "longer than 1 MB", "longer than 1 MB"},
		{"no ETag", 200, "", `{"active":"a","write":["a"]}`, "no strong ETag", "no strong ETag"},
		{"weak ETag", 200, `W/"1"`, `{"active":"a","write":["a"]}`, "no strong ETag", "no strong ETag"},
		{"bare ETag", 200, `1`, `{"active":"a","write":["a"]}`, "no strong ETag", "no strong ETag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := registerAt(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.etag != "" {
					w.Header().Set("ETag", c.etag)
				}
				w.WriteHeader(c.status)
				w.Write([]byte(c.body))
			}))
			e, err := r.Get(t.Context(), "dashboard-17")
			if err == nil {
				t.Fatalf("got %+v", e)
			}
			forPeople(t, err, c.get, "prod")
			_, err = r.Put(t.Context(), "dashboard-17", anEntry)
			if c.put == "" {
				if err != nil {
					t.Errorf("put: %v", err)
				}
				return
			}
			forPeople(t, err, c.put, "prod")
		})
	}
}

func TestRegisterHTTPWantsToken(t *testing.T) {
	s := httptest.NewServer(registertest.NewServer("", registerToken))
	defer s.Close()
	r := indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: s.URL})
	_, err := r.Get(t.Context(), "dashboard-17")
	forPeople(t, err, "The register of prod wants a token", "register.token_env")
}

// TestRegisterHTTPRedirect: the token goes to the configured host only, and nothing is
// taken from another.
func TestRegisterHTTPRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var calls atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		defer other.Close()
		r := registerAt(t, http.RedirectHandler(other.URL, status))
		_, err := r.Get(t.Context(), "dashboard-17")
		forPeople(t, err, "redirects are not followed", "register.url")
		_, err = r.Put(t.Context(), "dashboard-17", anEntry)
		forPeople(t, err, "redirects are not followed", "register.url")
		if n := calls.Load(); n > 0 {
			t.Errorf("%d: the other host was called %d times", status, n)
		}
	}
}

// TestRegisterHTTPLostReply: a put whose answer is lost is not repeated; that it may have
// been written is said, and can be read.
func TestRegisterHTTPLostReply(t *testing.T) {
	server := registertest.NewServer("/indexes", registerToken)
	var puts atomic.Int32
	r := registerAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Error("asks for compression, which makes ETags weak")
		}
		if r.Method != http.MethodPut {
			server.ServeHTTP(w, r)
			return
		}
		puts.Add(1)
		server.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	if _, err := r.Get(t.Context(), "dashboard-17"); err != nil { // its connection is used again
		t.Fatal(err)
	}
	_, err := r.Put(t.Context(), "dashboard-17", anEntry)
	forPeople(t, err, "broke off", "Whether the entry dashboard-17 was changed is unknown")
	if n := puts.Load(); n != 1 {
		t.Errorf("put %d times", n)
	}
	if e, err := r.Get(t.Context(), "dashboard-17"); err != nil || e.Active != anEntry.Active {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestRegisterHTTPAway(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	r := indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: s.URL, Token: registerToken})
	_, err := r.Get(t.Context(), "dashboard-17")
	forPeople(t, err, "The register of prod refused the connection", "unknown")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Get(ctx, "dashboard-17"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}

	secure := httptest.NewUnstartedServer(registertest.NewServer("", registerToken))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that it is not trusted
	secure.StartTLS()
	defer secure.Close()
	r = indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: secure.URL, Token: registerToken})
	_, err = r.Get(t.Context(), "dashboard-17")
	forPeople(t, err, "The certificate of the register of prod is not trusted")
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRegisterHTTPTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: "http://register.test", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		begin := time.Now()
		_, err := r.Get(t.Context(), "dashboard-17")
		forPeople(t, err, "The register of prod did not answer within 5s")
		_, err = r.Put(t.Context(), "dashboard-17", anEntry)
		forPeople(t, err, "The register of prod did not answer within 5s", "Whether the entry dashboard-17 was changed is unknown")
		if d := time.Since(begin); d != 10*time.Second {
			t.Errorf("two calls took %v", d)
		}
	})
}

// TestRegisterHTTPLeaseOver: what has lost its run sends no change, not even when it was
// handed to the transport in time.
func TestRegisterHTTPLeaseOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := false
		r := indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: "http://register.test", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			called = true
			time.Sleep(2 * time.Second) // until there is a connection
			if n, err := r.Body.Read(make([]byte, 100)); n > 0 || err == nil {
				t.Errorf("%d bytes of the change were sent, %v", n, err)
			}
			return nil, errors.New("the body could not be read")
		})})
		if _, err := r.Put(ops.WithLease(t.Context(), time.Now()), "dashboard-17", anEntry); err == nil || called {
			t.Errorf("called: %v, %v", called, err)
		}
		_, err := r.Put(ops.WithLease(t.Context(), time.Now().Add(time.Second)), "dashboard-17", anEntry)
		var u *ops.UserError
		if err == nil || errors.As(err, &u) || !called {
			t.Errorf("called: %v, %v", called, err)
		}
	})
}

// TestRegisterDocumented: the register in the documentation is one.
func TestRegisterDocumented(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	doc, err := os.ReadFile("../../../docs/register.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```python\n")
	program, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the documentation has no program")
	}
	registertest.Run(t, func(t *testing.T) indices.Register {
		cmd := exec.CommandContext(t.Context(), python, "-c", program)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "PORT=0", "BALDUR_TOKEN="+registerToken)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		port, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		url := "http://127.0.0.1:" + strings.TrimSpace(port) + "/indexes"
		_, err = indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: url, Token: "wrong"}).Get(t.Context(), "dashboard-17")
		forPeople(t, err, "refused Twokey's token")
		return indices.NewRegisterHTTP(indices.RegisterSettings{Environment: "prod", URL: url, Token: registerToken})
	})
}
