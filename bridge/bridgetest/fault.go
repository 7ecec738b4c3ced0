package bridgetest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is one way in which a peer misbehaves.
type Fault struct {
	Name   string
	Status int           // answer with this status
	After  time.Duration // and this Retry-After
	Reset  bool          // close the connection at once, with a reset
	Hang   bool          // take the request and answer nothing
	Cut    bool          // declare the whole body, send half of it, close
	HTML   bool          // 200 with a login page
	Bomb   bool          // 200 with gzip that grows a thousandfold
	To     string        // redirect
	Lose   bool          // do the work, then close without an answer
}

// Faults that every plugin over HTTP meets.
var (
	Unauthorized = Fault{Name: "401", Status: 401}
	Forbidden    = Fault{Name: "403", Status: 403}
	TooMany      = Fault{Name: "429 with Retry-After", Status: 429, After: 120 * time.Second}
	TooManyBare  = Fault{Name: "429 without Retry-After", Status: 429}
	Busy         = Fault{Name: "503 with Retry-After", Status: 503, After: 120 * time.Second}
	Broken       = Fault{Name: "500", Status: 500}
	Gateway      = Fault{Name: "502", Status: 502}
	Down         = Fault{Name: "503", Status: 503}
	Missing      = Fault{Name: "404", Status: 404}
	Method       = Fault{Name: "405", Status: 405}
	Invalid      = Fault{Name: "400", Status: 400}
	Large        = Fault{Name: "413", Status: 413}
	Unusable     = Fault{Name: "422", Status: 422}
	Reset        = Fault{Name: "connection reset", Reset: true}
	Hang         = Fault{Name: "silence after the request", Hang: true}
	Cut          = Fault{Name: "body cut in half", Cut: true}
	HTML         = Fault{Name: "an HTML page", HTML: true}
	Bomb         = Fault{Name: "a decompression bomb", Bomb: true}
	Lose         = Fault{Name: "answer lost after the work was done", Lose: true}
)

// Server wraps a handler with faults. It gives every answer a validator and honours If-None-Match.
type Server struct {
	*httptest.Server
	handler http.Handler

	mu       sync.Mutex
	fault    Fault
	left     int // requests that the fault still meets; negative: all
	requests int
	notmod   int
	release  chan struct{}
}

// Serve starts a server that ends with the test.
func Serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{handler: h, release: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.End)
	return s
}

// End stops the server and lets go what hangs. It may be called twice.
func (s *Server) End() {
	s.mu.Lock()
	select {
	case <-s.release:
	default:
		close(s.release)
	}
	s.mu.Unlock()
	s.CloseClientConnections()
	s.Close()
}

// Fault makes the next n requests meet f, all from now on when n is negative.
func (s *Server) Fault(f Fault, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.left = f, n
}

// Heal ends the fault.
func (s *Server) Heal() { s.Fault(Fault{}, 0) }

// Requests counts those that came.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// NotModified counts the answers 304.
func (s *Server) NotModified() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notmod
}

func (s *Server) next() (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.left == 0 {
		return Fault{}, false
	}
	if s.left > 0 {
		s.left--
	}
	return s.fault, true
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, bad := s.next()
	switch {
	case !bad:
		s.well(w, r)
	case f.Status != 0:
		if f.After > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int(f.After.Seconds())))
		}
		w.WriteHeader(f.Status)
		fmt.Fprintf(w, `{"error":"%s","you sent":"%s %s"}`, f.Name, r.URL.RawQuery, r.Header.Get("Authorization")) // some peers do
	case f.Reset:
		reset(w)
	case f.Hang:
		_, _ = io.Copy(io.Discard, r.Body) // without this the server would not notice that the client is gone
		select {
		case <-r.Context().Done():
		case <-s.release:
		}
	case f.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!DOCTYPE html>\n<html><title>Sign in</title><p>Please sign in.</html>")
	case f.Bomb:
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb())
	case f.To != "":
		http.Redirect(w, r, f.To, http.StatusTemporaryRedirect)
	case f.Cut:
		rec := httptest.NewRecorder()
		s.handler.ServeHTTP(rec, r)
		b := rec.Body.Bytes()
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.Header().Set("Content-Length", fmt.Sprint(len(b)+1))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(b[:len(b)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case f.Lose:
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
		reset(w)
	}
}

// well answers as the handler does. Answers to GET that are not streams get an ETag.
func (s *Server) well(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		s.handler.ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	if rec.Code == http.StatusOK {
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256(rec.Body.Bytes()))
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			s.mu.Lock()
			s.notmod++
			s.mu.Unlock()
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// reset closes the connection so that the client sees a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// bomb is 100 MiB of zeros in members of one MiB each.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	return bytes.Repeat(b.Bytes(), 100)
})
