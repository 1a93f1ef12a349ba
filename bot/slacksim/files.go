package slacksim

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// File is a file that the app uploaded.
type File struct {
	ID      string // F…
	Name    string
	Title   string
	Content string
	User    string
	Created time.Time
}

// upload is a file on its way: announced by files.getUploadURLExternal, its bytes sent to
// the upload URL, shared by files.completeUploadExternal.
type upload struct {
	file   File
	length int  // as announced
	used   bool // the URL, whatever came of it
	whole  bool // all bytes are there
}

// defaultShare is how long after files.completeUploadExternal a file shows. Slack does it
// asynchronously and does not say how long it takes.
const defaultShare = time.Second

func getUploadURL(w *Workspace, q *request) (map[string]any, *apiError) {
	n, err := strconv.Atoi(q.args["length"])
	switch {
	case err != nil:
		return nil, badArguments("length is no number: %s", q.args["length"])
	case n < 1:
		return nil, blame("missing_argument", "length %d", n)
	}
	u := &upload{length: n, file: File{
		ID: w.newID("F"), Name: q.args["filename"], Title: q.args["filename"], User: w.opts.BotUser, Created: time.Now(),
	}}
	ticket := w.newID("upload-")
	w.uploads[u.file.ID], w.uploadURLs[ticket] = u, u
	return map[string]any{"file_id": u.file.ID, "upload_url": w.url + "/upload/v1/" + ticket}, nil
}

// uploadURL is the Method of calls to an upload URL.
const uploadURL = "upload_url"

// serveUpload takes the bytes of a file, once, as they are or as a form's file.
func (w *Workspace) serveUpload(rw http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	call := Call{Method: uploadURL, Args: map[string]string{}}
	fault := w.takeFault(uploadURL, "")
	if fault != nil {
		if !sleep(r.Context(), fault.Delay) {
			return
		}
		if fault.before(rw, &call) {
			w.log(call)
			if call.Status == 0 {
				panic(http.ErrAbortHandler)
			}
			return
		}
	}
	w.mu.Lock()
	status, fail := http.StatusOK, w.takeBytes(w.uploadURLs[r.PathValue("ticket")], r.Header.Get("Content-Type"), raw)
	if fail != nil {
		status, call.Error = http.StatusBadRequest, fail.code
		w.violate(uploadURL, "%s: %s", fail.code, fail.bug)
	}
	w.mu.Unlock()
	call.Status, call.Effect = status, fail == nil
	dropped := fault != nil && fault.DropReply
	if dropped {
		call.Status = 0
	}
	w.log(call)
	switch {
	case dropped:
		panic(http.ErrAbortHandler)
	case fault != nil && !sleep(r.Context(), fault.DelayReply):
	case fail != nil:
		http.Error(rw, fail.code, status)
	default:
		rw.Header().Set("Content-Type", "text/plain")
		_, _ = rw.Write([]byte("OK - " + strconv.Itoa(len(raw))))
	}
}

// takeBytes stores what was sent to an upload URL; w.mu is held.
func (w *Workspace) takeBytes(u *upload, contentType string, raw []byte) *apiError {
	switch {
	case u == nil:
		return blame("no_such_url", "no upload URL of this name was given out")
	case u.used:
		return blame("used_url", "the upload URL of %s was used before", u.file.ID)
	}
	u.used = true
	if kind, params, _ := mime.ParseMediaType(contentType); kind == "multipart/form-data" {
		part, err := multipart.NewReader(bytes.NewReader(raw), params["boundary"]).NextPart()
		if err != nil {
			return blame("invalid_form_data", "%v", err)
		}
		if raw, err = io.ReadAll(part); err != nil {
			return blame("invalid_form_data", "%v", err)
		}
	}
	if len(raw) != u.length {
		return blame("wrong_length", "%s has %d bytes, but %d were announced", u.file.ID, len(raw), u.length)
	}
	u.file.Content, u.whole = string(raw), true
	return nil
}

// completeUpload shares files that were uploaded. The message they are in shows a while
// later, and the answer does not say where. Slack does not tell what a repetition does:
// here it shares them again. The argument channels is not known here.
func completeUpload(w *Workspace, q *request) (map[string]any, *apiError) {
	var named []struct{ ID, Title string }
	if err := json.Unmarshal([]byte(q.args["files"]), &named); err != nil || len(named) == 0 {
		return nil, badArguments("files is no array of files: %s", q.args["files"])
	}
	var files []File
	var reply []any
	for _, n := range named {
		u := w.uploads[n.ID]
		switch {
		case u == nil:
			return nil, blame("file_not_found", "no file %q was announced", n.ID)
		case !u.whole:
			return nil, blame("file_not_found", "the bytes of %s were not uploaded", n.ID)
		}
		if n.Title != "" {
			u.file.Title = n.Title
		}
		files = append(files, u.file)
		reply = append(reply, map[string]any{"id": u.file.ID, "title": u.file.Title})
	}
	if q.args["channel_id"] == "" { // the files stay private
		return map[string]any{"files": reply}, nil
	}
	c, fail := w.writable(q.args["channel_id"])
	if fail != nil {
		return nil, fail
	}
	b := body{text: q.args["initial_comment"]}
	if b.text == "" {
		if b, fail = bodyOf(q); fail != nil {
			return nil, fail
		}
	}
	w.fitText(q.method, &b)
	thread, fail := w.threadRoot(c.ID, q.args["thread_ts"])
	if fail != nil {
		return nil, fail
	}
	b.files = files
	if !q.call.lost {
		w.wg.Go(func() {
			if !sleep(w.ctx, w.opts.ShareAfter) {
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.post(c, w.person(w.opts.BotUser), thread, b, q.method)
		})
	}
	return map[string]any{"files": reply}, nil
}

// fileObjects are a message's files as the API shows them. Slack does not say what a token
// without files:read sees of them: here it is the id alone.
func (w *Workspace) fileObjects(m *Message) []any {
	var list []any
	for _, f := range m.Files {
		o := map[string]any{"id": f.ID}
		if slices.Contains(w.opts.Scopes, "files:read") {
			o["name"], o["title"], o["size"], o["user"] = f.Name, f.Title, len(f.Content), f.User
			o["created"], o["timestamp"], o["mode"] = f.Created.Unix(), f.Created.Unix(), "hosted"
			o["mimetype"], o["filetype"] = "text/plain", "text"
			o["url_private"] = w.url + "/sandbox/file/" + f.ID
		}
		list = append(list, o)
	}
	return list
}

// serveFile shows a file's text to whoever is at the page.
func (w *Workspace) serveFile(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	u := w.uploads[r.PathValue("id")]
	var f File
	if u != nil && u.whole {
		f = u.file
	}
	w.mu.Unlock()
	if f.ID == "" {
		http.NotFound(rw, r)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": f.Name}))
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = io.Copy(rw, strings.NewReader(f.Content))
}
