package slacksim

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

const (
	socketsMost   = 10
	responseBytes = 20_000           // Slack silently drops Socket Mode responses of this size
	ticketLife    = 30 * time.Second // of an unused URL
	leaveAfter    = 10 * time.Second // from a disconnect message to the end
)

// socket is one Socket Mode connection.
type socket struct {
	conn    *websocket.Conn
	out     chan []byte
	gone    chan struct{} // closed when the reader ended
	leaving bool          // told to disconnect; gets nothing new; under Workspace.mu
	frozen  bool          // open but dead; under Workspace.mu
}

type socketAck struct {
	response json.RawMessage
}

// flight is an envelope waiting for its acknowledgement.
type flight struct {
	envelope string
	sent     bool // false: there was no connection
	ack      chan socketAck
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func (w *Workspace) serveSocket(rw http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	w.mu.Lock()
	given, ok := w.tickets[ticket]
	delete(w.tickets, ticket)
	if w.closed || !ok || time.Since(given) > ticketLife {
		if !ok {
			w.violate("socket", "a Socket Mode URL was used twice or made up")
		}
		w.mu.Unlock()
		http.Error(rw, "gone", http.StatusGone)
		return
	}
	w.wg.Add(1)
	w.mu.Unlock()
	defer w.wg.Done()

	conn, err := upgrader.Upgrade(rw, r, nil)
	if err != nil {
		return
	}
	s := &socket{conn: conn, out: make(chan []byte, 4096), gone: make(chan struct{})}
	defer conn.Close()
	defer close(s.gone)

	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	full := len(w.sockets) >= socketsMost
	if full {
		s.leave("too_many_websockets")
		time.AfterFunc(time.Second, func() { conn.Close() })
	} else {
		w.sockets = append(w.sockets, s)
		s.out <- rawJSON(object{
			"type": "hello", "num_connections": len(w.sockets), "connection_info": object{"app_id": w.opts.AppID},
			"debug_info": object{"host": "applink-1", "build_number": 1, "approximate_connection_time": 18060},
		})
	}
	w.wg.Go(func() { w.writeSocket(s) })
	w.touch()
	w.mu.Unlock()

	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			break
		}
		w.takeAck(s, raw)
	}
	w.mu.Lock()
	w.sockets = slices.DeleteFunc(w.sockets, func(o *socket) bool { return o == s })
	w.touch()
	w.mu.Unlock()
}

// writeSocket is the one writer of the connection.
func (w *Workspace) writeSocket(s *socket) {
	pings := time.NewTicker(w.opts.PingEvery)
	defer pings.Stop()
	defer s.conn.Close()
	for {
		kind, data := websocket.TextMessage, []byte(nil)
		select {
		case data = <-s.out:
		case <-pings.C:
			kind, data = websocket.PingMessage, []byte("Ping from applink-1")
		case <-s.gone:
			return
		}
		w.mu.Lock()
		frozen := s.frozen
		w.mu.Unlock()
		if frozen {
			continue
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if s.conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// send queues a frame; a connection that lets 4,096 pile up is cut.
func (s *socket) send(data []byte) {
	select {
	case s.out <- data:
	default:
		s.conn.Close()
	}
}

func (s *socket) leave(reason string) {
	s.leaving = true
	s.send(rawJSON(object{"type": "disconnect", "reason": reason, "debug_info": object{"host": "applink-1"}}))
}

// launch queues an envelope on one of the connections; w.mu is held.
func (w *Workspace) launch(d *Delivery, n int, reason string, again bool) *flight {
	f := &flight{envelope: w.newID("5f1ac0de-0000-4000-8000-000"), ack: make(chan socketAck, 1)}
	var open []*socket
	for _, s := range w.sockets {
		if !s.leaving {
			open = append(open, s)
		}
	}
	if len(open) == 0 {
		return f
	}
	w.nextSock++
	s := open[w.nextSock%len(open)]
	kind := map[string]string{command: "slash_commands", event: "events_api", interaction: "interactive"}[d.Kind]
	env := object{
		"envelope_id": f.envelope, "type": kind, "accepts_response_payload": d.Kind == command, "payload": d.Payload,
	}
	if d.Kind == event {
		env["retry_attempt"], env["retry_reason"] = n, reason
	}
	w.pending[f.envelope] = f.ack
	f.sent = true
	raw := rawJSON(env)
	s.send(raw)
	if again {
		s.send(raw)
	}
	return f
}

// awaitAck waits for the acknowledgement of an envelope.
func (w *Workspace) awaitAck(f *flight) Attempt {
	a := Attempt{Envelope: f.envelope}
	if !f.sent {
		a.Failure = "connection_failed"
		return a
	}
	t := time.NewTimer(w.opts.AckWithin)
	defer t.Stop()
	select {
	case ack := <-f.ack:
		a.Acked, a.response, a.content = true, ack.response, "application/json"
		return a
	case <-t.C:
		a.Failure = "timeout"
	case <-w.ctx.Done():
		a.Failure = "closed"
	}
	w.mu.Lock()
	delete(w.pending, f.envelope)
	w.expired[f.envelope] = true
	w.mu.Unlock()
	return a
}

// takeAck handles a frame from the app.
func (w *Workspace) takeAck(s *socket, raw []byte) {
	var ack struct {
		Envelope string          `json:"envelope_id"`
		Payload  json.RawMessage `json:"payload"`
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch err := json.Unmarshal(raw, &ack); {
	case s.frozen:
	case len(raw) >= responseBytes:
		w.violate("socket", "a response of %d bytes is dropped by Slack", len(raw))
	case err != nil:
		w.violate("socket", "a frame that is not JSON: %v", err)
	case w.pending[ack.Envelope] != nil:
		w.pending[ack.Envelope] <- socketAck{response: ack.Payload}
		delete(w.pending, ack.Envelope)
		w.expired[ack.Envelope] = false
	case !w.markLate(ack.Envelope):
		w.violate("socket", "acknowledged unknown envelope %q", ack.Envelope)
	}
}

// markLate notes a late or repeated acknowledgement; false: no such envelope.
func (w *Workspace) markLate(envelope string) bool {
	late, known := w.expired[envelope]
	if !late {
		return known
	}
	for _, d := range w.deliveries {
		for i := range d.attempts {
			if d.attempts[i].Envelope == envelope {
				d.attempts[i].LateAck = true
			}
		}
	}
	return true
}

// Disconnect tells every connection to reconnect, with Slack's reason ("warning",
// "refresh_requested", "link_disabled"). They get nothing new and are closed 10 s later.
func (w *Workspace) Disconnect(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sockets {
		if !s.leaving {
			s.leave(reason)
			t := time.AfterFunc(leaveAfter, func() { s.conn.Close() })
			w.wg.Go(func() {
				<-s.gone
				t.Stop()
			})
		}
	}
}

// KillSockets cuts every connection without a word.
func (w *Workspace) KillSockets() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sockets {
		s.conn.Close()
	}
	w.sockets = nil
}

// FreezeSockets makes every present connection a silent dead one: open, but nothing
// comes through, no pings either. Until the app closes one, it gets its share of envelopes.
func (w *Workspace) FreezeSockets() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sockets {
		s.frozen = true
	}
}
