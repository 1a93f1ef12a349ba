package slacksim

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Fault spoils API calls. The first Fault that matches a call is used.
type Fault struct {
	Method  string // "chat.postMessage", "response_url", "upload_url", …; empty: any
	Channel string // empty: any
	Skip    int    // matching calls to let pass first
	Times   int    // calls to spoil; 0: one, negative: until ClearFaults

	Status     int           // answer with this HTTP status and no effect: 429, 500, 503
	RetryAfter time.Duration // with Status 429; whole seconds, at least one
	Error      string        // answer ok:false with this word and no effect
	Cut        bool          // cut the connection before any effect
	DropReply  bool          // carry it out, then cut the connection without an answer
	Delay      time.Duration // wait before carrying it out
	DelayReply time.Duration // wait between effect and answer
	NeverShown bool          // files.completeUploadExternal: answer ok, but the file does not show
}

// Fault adds a fault.
func (w *Workspace) Fault(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	w.faults = append(w.faults, &f)
}

// ClearFaults removes all faults of calls and of deliveries.
func (w *Workspace) ClearFaults() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults, w.late = nil, DeliveryFault{}
}

// takeFault returns the fault for this call, used up by one, or nil.
func (w *Workspace) takeFault(method, channel string) *Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, f := range w.faults {
		if f.Method != "" && f.Method != method || f.Channel != "" && f.Channel != channel {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				w.faults = slices.Delete(w.faults, i, i+1)
			}
		}
		used := *f
		return &used
	}
	return nil
}

// before answers a call that is to have no effect and reports whether it did. A cut
// connection leaves call.Status 0.
func (f *Fault) before(rw http.ResponseWriter, call *Call) bool {
	switch {
	case f.Cut:
		call.Error = "cut"
	case f.Status == http.StatusTooManyRequests:
		seconds := max(1, int(f.RetryAfter/time.Second))
		rw.Header().Set("Retry-After", strconv.Itoa(seconds))
		call.Status, call.Error = f.Status, "ratelimited"
		writeJSON(rw, f.Status, map[string]any{"ok": false, "error": "ratelimited"})
	case f.Status != 0:
		call.Status, call.Error = f.Status, "http"
		rw.Header().Set("Content-Type", "text/html")
		rw.WriteHeader(f.Status)
		_, _ = rw.Write([]byte("<!DOCTYPE html><title>Server error</title>"))
	case f.Error != "":
		call.Status, call.Error = http.StatusOK, f.Error
		writeJSON(rw, http.StatusOK, map[string]any{"ok": false, "error": f.Error})
	default:
		return false
	}
	return true
}

// DeliveryFault spoils what is sent to the app, until it is replaced.
type DeliveryFault struct {
	Again      bool          // send each request twice: same envelope, same event_id
	NewEventID bool          // send each event twice, the second time as an event of its own
	Late       time.Duration // hold everything back this long
}

// FaultDeliveries sets the fault of all deliveries from now on; the zero value ends it.
func (w *Workspace) FaultDeliveries(f DeliveryFault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = f
}

// sleep waits and reports whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
