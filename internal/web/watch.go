package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const keepAlive = 15 * time.Second

// watch sends server-sent events until the client leaves: `event: page` with the inside of the page named by ?page=, or,
// without it, `event: status` with the JSON of /api/v1/status. Only what differs from the last one is sent.
func (h *Handler) watch(w http.ResponseWriter, r *http.Request) {
	select {
	case h.seats <- struct{}{}:
		defer func() { <-h.seats }()
	default:
		w.Header().Set("Retry-After", "30")
		h.fail(w, r, http.StatusServiceUnavailable, "too many open watches")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.Method == http.MethodHead {
		return
	}
	out := newFrames(w, r)
	defer out.close()
	_ = out.rc.SetReadDeadline(time.Time{}) // the limit for reading a request would end the watch

	page := r.URL.Query().Get("page")
	tick := time.NewTicker(h.pace)
	defer tick.Stop()
	var last []byte
	var sent time.Time
	for {
		name, data := h.frame(r, page)
		var err error
		switch {
		case !bytes.Equal(data, last):
			err = out.event(name, data)
			last, sent = data, h.now()
		case h.now().Sub(sent) >= keepAlive:
			err = out.comment()
			sent = h.now()
		}
		if err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.done:
			return
		case <-tick.C:
		}
		if h.role(r) < viewerRole { // the login has ended meanwhile
			return
		}
	}
}

// frame makes one event. Pages carry their moment, so each differs from the last: by that the script knows they are live.
func (h *Handler) frame(r *http.Request, page string) (name string, data []byte) {
	if page != "" {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, "page", h.view(r, page)); err != nil {
			h.log.Error("page cannot be made", "page", page, "error", err)
		}
		return "page", b.Bytes()
	}
	s, err := h.status.get(r.Context())
	if err == nil {
		err = s.Err
	}
	if err == nil {
		data, err = json.Marshal(s.Status)
	}
	if err != nil {
		data, _ = json.Marshal(map[string]string{"error": err.Error()})
		return "problem", data
	}
	return "status", data
}

// frames writes server-sent events, compressed where the client allows: one page looks much like the next.
type frames struct {
	w  io.Writer
	gz *gzip.Writer
	rc *http.ResponseController
}

func newFrames(w http.ResponseWriter, r *http.Request) *frames {
	f := &frames{w: w, rc: http.NewResponseController(w)}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		f.gz = gzip.NewWriter(w)
		f.w = f.gz
	}
	return f
}

func (f *frames) event(name string, data []byte) error {
	var b bytes.Buffer
	b.WriteString("event: " + name + "\n")
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return f.flush(b.Bytes())
}

func (f *frames) comment() error { return f.flush([]byte(": still here\n\n")) }

// flush gives a client that does not read ten seconds, then gives it up.
func (f *frames) flush(b []byte) error {
	_ = f.rc.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := f.w.Write(b); err != nil {
		return err
	}
	if f.gz != nil {
		if err := f.gz.Flush(); err != nil {
			return err
		}
	}
	return f.rc.Flush()
}

func (f *frames) close() {
	if f.gz != nil {
		_ = f.gz.Close()
	}
}
