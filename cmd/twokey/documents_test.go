package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twokey/ops/elastic"
	"twokey/ops/elastic/indices"
	"twokey/ops/elastic/indices/registertest"
)

// What a reindex must tell nobody.
const (
	registerToken = "marker-register-token"
	documentText  = "marker-document-text"  // in every document
	refusedText   = "marker-refused-number" // in the field that the new mapping refuses
)

// TestNoDocumentIsSeen copies documents with a register while the cluster and the register
// fail in each bad way, and then looks at all that Slack was sent, all that Redis holds, the
// log, and the metrics. Of documents there is to be nothing but what is needed of those
// that were refused: id, field, and the server's reason, which quotes the field's value.
func TestNoDocumentIsSeen(t *testing.T) {
	inWorld(t, false, func(t *testing.T, w *world) {
		shelve(w)
		w.redis.RequireUserAuth("twokey", redisPassword)
		server := &hostileServer{next: w.es.RoundTripper()}
		book := registertest.NewServer("/indexes", registerToken)
		register := &hostileServer{next: roundTripper(func(r *http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			book.ServeHTTP(rec, r)
			return rec.Result(), nil
		})}
		client, _ := w.expose(func(p *Parts) {
			p.Redis.Username, p.Redis.Password = "twokey", redisPassword
			es, err := elastic.Connect(elastic.Settings{URLs: []string{"http://n1:9200"}, Transport: server, APIKey: elasticKey})
			if err != nil {
				t.Fatal(err)
			}
			p.Clusters[sandboxEnvironment] = elastic.Cluster{Environment: sandboxEnvironment, Client: es}
			r := indices.NewRegisterHTTP(indices.RegisterSettings{Environment: sandboxEnvironment, URL: "http://register.test/indexes", Token: registerToken, Transport: register})
			p.Registers = map[string]indices.Register{sandboxEnvironment: r}
			if _, err := r.Put(t.Context(), "shelf", indices.Entry{Active: "shelf-1", Write: []string{"shelf-1"}}); err != nil {
				t.Fatal(err)
			}
		})
		ways := append([]string{"cut"}, hostileWays...)
		for _, how := range ways {
			register.be(how)
			w.command(alice, "/ops es reindex shelf-1 shelf-2 --writes dual --register shelf")
			w.pass(10 * time.Second)
			register.be("")
			server.be(how)
			w.command(alice, "/ops es reindex shelf-1 shelf-2 --writes dual --register shelf")
			w.pass(10 * time.Second)
			server.be("")
		}
		for _, command := range []string{
			"/ops es reindex shelf-1 shelf-2 --writes dual --register shelf --throttle 1 --quarantine",
			"/ops es reindex shelf-3 shelf-4 --throttle 1", // asks about those that are refused
		} {
			channel := len(w.slack.Channel(sandboxChannel))
			w.command(alice, command)
			w.await(time.Minute, "card", func() bool { return len(w.slack.Channel(sandboxChannel)) > channel })
			card := w.card()
			w.click(bob, card, "approve")
			for _, only := range []string{"/_bulk", "/_search", ""} {
				server.mu.Lock()
				server.only = only
				server.mu.Unlock()
				for _, how := range ways {
					if only != "" && how == "panic" {
						continue // the bulk indexer's own goroutine would take the process with it
					}
					server.be(how)
					if only == "" {
						register.be(how)
					}
					w.pass(12 * time.Second) // longer than a call
					server.be("")
					register.be("")
					w.pass(4 * time.Second)
				}
			}
			id := w.cardID(card)
			w.command(alice, "/ops resume "+id) // too many failures in a row: a person is asked
			w.awaitReply(5*time.Minute, card, "do not fit")
			if strings.Contains(command, "quarantine") {
				w.awaitReply(5*time.Minute, card, ":white_check_mark: Done")
			} else {
				w.command(alice, "/ops cancel "+id)
				w.awaitReply(5*time.Minute, card, ": Cancelled")
			}
			w.command(alice, "/ops show "+id)
			w.pass(5 * time.Second)
		}
		if !server.seen || !register.seen {
			t.Fatal("no request had a secret")
		}
		everywhere := map[string]string{"Slack": w.said(), "Redis": w.kept(), "the log": w.log.String(), "metrics": get(t, client, "http://twokey.test/metrics")}
		for where, text := range everywhere {
			for _, marker := range []string{registerToken, documentText, elasticKey, elasticPassword} {
				if at := strings.Index(text, marker); at >= 0 {
					t.Errorf("%s holds %s: …%s…", where, marker, text[max(0, at-300):min(len(text), at+100)])
				}
			}
			at := strings.Index(text, refusedText)
			if quoted := where == "Slack" || where == "Redis"; at >= 0 != quoted {
				t.Errorf("%s holds what the server quotes of a refused document: %v: …%s…", where, at >= 0, text[max(0, at-300):min(len(text), max(at, 0)+100)])
			}
		}
		if testing.Verbose() {
			t.Logf("the channel:\n%s", w.transcript(sandboxChannel))
		}
	})
}

// shelve makes shelf-1 and shelf-3 with 200 documents each, of which shelf-2 and shelf-4
// will refuse two.
func shelve(w *world) {
	w.request("PUT", "/_index_template/shelves", `{"index_patterns":["shelf-2","shelf-4"],"template":{"mappings":{"properties":{"n":{"type":"long"}}}}}`)
	for _, index := range []string{"shelf-1", "shelf-3"} {
		w.request("PUT", "/"+index, `{"mappings":{"properties":{"n":{"type":"keyword"},"said":{"type":"text"}}},"aliases":{"`+index+`-live":{}}}`)
		for i := range 200 {
			n := fmt.Sprint(i)
			if i%100 == 50 {
				n = refusedText
			}
			if err := w.es.PutDoc(index, fmt.Sprintf("d%03d", i), fmt.Sprintf(`{"n":%q,"said":"%s %d"}`, n, documentText, i)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
