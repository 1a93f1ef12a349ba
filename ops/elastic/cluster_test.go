package elastic

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"twokey/ops"
)

// wire answers requests by a function.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

func answer(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"X-Elastic-Product": {"Elasticsearch"}}}, nil
}

func dial(t *testing.T, w wire) Cluster {
	t.Helper()
	client, err := Connect(Settings{URLs: []string{"http://es1:9200", "http://es2:9200", "http://es3:9200"}, Transport: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(context.WithoutCancel(t.Context())) })
	return Cluster{"staging", client}
}

func TestErrorsAreForPeople(t *testing.T) {
	refused := &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9200}, Err: syscall.ECONNREFUSED}
	tests := []struct {
		name       string
		w          wire
		what, next string
	}{
		{"refused", func(*http.Request) (*http.Response, error) { return nil, refused }, "staging refused the connection at 10.0.0.1:9200.", "unknown"},
		{"unreachable", func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }, "cannot be reached", "unknown"},
		{"silent", func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, "did not answer in time", "unknown"},
		{"login", func(*http.Request) (*http.Response, error) {
			return answer(401, `{"error":{"type":"security_exception","reason":"unable to authenticate user [x]"},"status":401}`)
		}, "refused Twokey's login", "password"},
		{"rights", func(*http.Request) (*http.Response, error) {
			return answer(403, `{"error":{"type":"security_exception","reason":"action [x] is unauthorized"},"status":403}`)
		}, "does not allow Twokey", "manage"},
		{"no master", func(*http.Request) (*http.Response, error) {
			return answer(503, `{"error":{"type":"master_not_discovered_exception","reason":null},"status":503}`)
		}, "no elected master", "unknown"},
		{"slow master", func(*http.Request) (*http.Response, error) {
			return answer(503, `{"error":{"type":"process_cluster_event_timeout_exception","reason":"failed"},"status":503}`)
		}, "did not get round to it", "pending"},
		{"overload", func(*http.Request) (*http.Response, error) {
			return answer(429, `{"error":{"type":"circuit_breaking_exception","reason":"too much"},"status":429}`)
		}, "overloaded", ""},
		{"proxy", func(*http.Request) (*http.Response, error) { return answer(502, `<html>`) }, "answered 502", ""},
		{"garbage", func(*http.Request) (*http.Response, error) { return answer(200, `{"status":`) }, "cannot be read", ""},
		{"another product", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}")), Header: http.Header{}}, nil
		}, "is not Elasticsearch", "urls"},
		{"odd health", func(*http.Request) (*http.Response, error) { return answer(200, `{"status":"mauve"}`) }, "cannot be read", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := dial(t, tt.w).Health(t.Context())
				var user *ops.UserError
				if !errors.As(err, &user) || !strings.Contains(user.What, tt.what) || !strings.Contains(user.Next, tt.next) {
					t.Errorf("%v / %+v", err, user)
				}
			})
		})
	}
}

func TestReadsGoToTheNextNodeWritesDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		c := dial(t, func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.Method+" "+r.URL.Host)
			if len(asked)%2 == 1 {
				return nil, errors.New("connection reset")
			}
			return answer(200, `{"status":"green"}`)
		})
		if h, err := c.Health(t.Context()); err != nil || h.Status != "green" || len(asked) != 2 || asked[0] == asked[1] {
			t.Errorf("%v %v, asked %v", h, err, asked)
		}
		asked = nil
		v := "n2"
		if err := c.putFilters(t.Context(), change{pers("_name"): &v}, "token"); err == nil || len(asked) != 1 {
			t.Errorf("a write whose reply was lost: %v, asked %v", err, asked)
		}
	})
}

func TestWriteCarriesTheTokenAndBothScopes(t *testing.T) {
	var body, opaque string
	c := dial(t, func(r *http.Request) (*http.Response, error) {
		b, _ := io.ReadAll(r.Body)
		body, opaque = string(b), r.Header.Get("X-Opaque-Id")
		return answer(200, `{"acknowledged":true}`)
	})
	name, list := "n2", `["spot"]`
	if err := c.putFilters(t.Context(), change{pers("_name"): &name, pers("rack"): nil, trans("zone"): &list}, "RUN-0-1"); err != nil {
		t.Fatal(err)
	}
	want := `{"persistent":{"cluster.routing.allocation.exclude._name":"n2","cluster.routing.allocation.exclude.rack":null},` +
		`"transient":{"cluster.routing.allocation.exclude.zone":["spot"]}}`
	if body != want || opaque != "RUN-0-1" {
		t.Errorf("body %s, token %s", body, opaque)
	}
}

func TestCancelledStaysCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := dial(t, func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() })
	if _, err := c.Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestConnectNamesAllMistakes(t *testing.T) {
	_, err := Connect(Settings{URLs: []string{"es1:9200", "https://me:secret@es2:9200", "http://ok:9200"}, APIKey: "k", Username: "u"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"es1:9200", "es2:9200 holds a login", "an API key and a username", "give both or none"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%q shows a password", err)
	}
	if _, err := Connect(Settings{}); err == nil {
		t.Error("no URLs gave no error")
	}
	if _, err := Connect(Settings{URLs: []string{"https://es1:9200"}, CA: []byte("not pem")}); err == nil {
		t.Error("a bad CA gave no error")
	}
	if _, err := Connect(Settings{URLs: []string{"https://es1:9200"}, CAFile: "testdata/absent.pem"}); err == nil {
		t.Error("an absent CA file gave no error")
	}
}

func TestPickNamesThoseThatHaveOne(t *testing.T) {
	_, err := Pick(map[string]Cluster{"staging": {}, "prod": {}}, "india")
	var user *ops.UserError
	if !errors.As(err, &user) || user.What != "Environment india has no Elasticsearch." || user.Next != "These have one: prod, staging." {
		t.Errorf("%+v", user)
	}
}
