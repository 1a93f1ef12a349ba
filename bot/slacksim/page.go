package slacksim

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"time"
)

//go:embed web
var webFiles embed.FS

// pageBatch is how long changes are gathered before the page hears of them.
const pageBatch = 60 * time.Millisecond

// addPage adds the sandbox page: files, state, changes as server-sent events, and actions.
func (w *Workspace) addPage(mux *http.ServeMux) {
	files, err := fs.Sub(webFiles, "web")
	if err != nil {
		panic(err) // the directory is embedded
	}
	static := http.StripPrefix("/sandbox/", http.FileServerFS(files))
	mux.HandleFunc("GET /sandbox/", func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		static.ServeHTTP(rw, r)
	})
	mux.HandleFunc("GET /sandbox/state", w.serveState)
	mux.HandleFunc("GET /sandbox/stream", w.serveStream)
	mux.HandleFunc("GET /sandbox/file/{id}", w.serveFile)
	// Other sites' pages may not act here.
	mux.Handle("POST /sandbox/act", http.NewCrossOriginProtection().Handler(http.HandlerFunc(w.serveAct)))
	mux.Handle("GET /{$}", http.RedirectHandler("/sandbox/", http.StatusFound))
}

// serveStream sends the version number at once and after changes.
func (w *Workspace) serveStream(rw http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(rw)
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("Cache-Control", "no-store")
	for {
		w.mu.Lock()
		version, changed := w.version, w.changed
		w.mu.Unlock()
		if _, err := fmt.Fprintf(rw, "data: %d\n\n", version); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-w.ctx.Done():
			return
		}
		if !sleep(r.Context(), pageBatch) {
			return
		}
	}
}

// action is what somebody did on the page.
type action struct {
	As      string `json:"as"`
	Channel string `json:"channel"`
	Thread  string `json:"thread"`
	Kind    string `json:"kind"` // "send", "click", "react", "unreact"
	Text    string `json:"text"`
	TS      string `json:"ts"`
	Action  string `json:"action"`
	Emoji   string `json:"emoji"`
}

func (w *Workspace) serveAct(rw http.ResponseWriter, r *http.Request) {
	var a action
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 64<<10)).Decode(&a); err != nil {
		writeJSON(rw, http.StatusBadRequest, map[string]string{"error": "that is no action: " + err.Error()})
		return
	}
	if err := w.act(r, a); err != nil {
		writeJSON(rw, http.StatusOK, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(rw, http.StatusOK, map[string]string{})
}

func (w *Workspace) act(r *http.Request, a action) error {
	switch a.Kind {
	case "send":
		text := strings.TrimSpace(a.Text)
		switch {
		case text == "":
			return nil
		case !strings.HasPrefix(text, "/"):
			_, err := w.Say(a.As, a.Channel, w.composed(text), a.Thread)
			return err
		case a.Thread != "":
			return fmt.Errorf("slash commands do not work in threads; mention @%s instead", w.opts.BotName)
		}
		_, err := w.Command(a.As, a.Channel, text) // a failure is told by Slackbot
		return err
	case "click":
		d, err := w.Click(a.As, a.Channel, a.TS, a.Action)
		if err != nil {
			return err
		}
		if d.Wait(r.Context()) != nil {
			return fmt.Errorf("%s did not answer in time; press again", w.opts.BotName)
		}
		return nil
	case "react":
		return w.React(a.As, a.Channel, a.TS, a.Emoji)
	case "unreact":
		return w.Unreact(a.As, a.Channel, a.TS, a.Emoji)
	}
	return fmt.Errorf("unknown action %q", a.Kind)
}

var (
	escaper  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	typedRef = regexp.MustCompile(`[@#][\w.-]+|https?://\S+`)
)

// composed is a typed message as Slack stores it: escaped, with mentions, channels and links.
func (w *Workspace) composed(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return typedRef.ReplaceAllStringFunc(escaper.Replace(text), func(s string) string {
		switch s[0] {
		case '@':
			if p := find(w.people, func(p *Person) bool { return p.Name == s[1:] }); p != nil {
				return "<@" + p.ID + ">"
			}
		case '#':
			if c := find(w.channels, func(c *Channel) bool { return c.Name == s[1:] && c.DM == "" }); c != nil {
				return "<#" + c.ID + "|" + c.Name + ">"
			}
		default:
			return "<" + s + ">"
		}
		return s
	})
}
