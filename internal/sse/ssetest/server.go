// Package ssetest is an event stream server that misbehaves on request: it cuts connections at any byte, falls silent, splits
// writes, refuses. Tests of whatever reads an event stream use it.
package ssetest

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Script plays one connection; when it returns, the stream ends cleanly.
type Script func(c *Conn)

// Server plays a script for each connection in turn, and the last one for every connection after.
type Server struct {
	URL string

	mu       sync.Mutex
	requests []*http.Request
	scripts  []Script
	close    chan struct{}
}

// New starts a server that ends with the test.
func New(t testing.TB, scripts ...Script) *Server {
	s := &Server{scripts: scripts, close: make(chan struct{})}
	h := httptest.NewServer(s)
	s.URL = h.URL
	t.Cleanup(func() { close(s.close); h.CloseClientConnections(); h.Close() })
	return s
}

// Requests returns the requests so far, in order.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.requests...)
}

// ServeHTTP plays the next script.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, r)
	script := s.scripts[min(n, len(s.scripts)-1)]
	s.mu.Unlock()
	script(&Conn{ResponseWriter: w, Request: r, N: n, closed: s.close})
}

// Conn is one connection under way.
type Conn struct {
	http.ResponseWriter
	Request *http.Request
	N       int // 0 for the server's first connection
	closed  chan struct{}
}

// NewConn makes a Conn for a handler of its own; Hold ends when closed is closed.
func NewConn(w http.ResponseWriter, r *http.Request, n int, closed chan struct{}) *Conn {
	return &Conn{ResponseWriter: w, Request: r, N: n, closed: closed}
}

// Begin sends the head of a good answer; Send does so by itself.
func (c *Conn) Begin() {
	h := c.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache, no-transform")
	}
	c.WriteHeader(http.StatusOK)
	c.Flush()
}

// Send writes text and flushes it.
func (c *Conn) Send(text string) {
	if c.Header().Get("Content-Type") == "" {
		c.Begin()
	}
	_, _ = c.Write([]byte(text))
	c.Flush()
}

// Flush pushes out what was written.
func (c *Conn) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// Hold keeps the connection open and silent until the client goes away or the test ends.
func (c *Conn) Hold() {
	select {
	case <-c.Request.Context().Done():
	case <-c.closed:
	}
}

// Cut breaks the connection off.
func (c *Conn) Cut() { panic(http.ErrAbortHandler) }

// Format writes one event as the platform does: id, event, data, blank line. An empty id or name leaves its line out.
func Format(id, name, data string) string {
	var s string
	if id != "" {
		s = "id: " + id + "\n"
	}
	if name != "" {
		s += "event: " + name + "\n"
	}
	return s + "data: " + data + "\n\n"
}

// Play sends text at once and ends the stream cleanly.
func Play(text string) Script { return func(c *Conn) { c.Send(text) } }

// CutAt breaks the connection off after n bytes of text.
func CutAt(text string, n int) Script {
	return func(c *Conn) { c.Send(text[:n]); c.Cut() }
}

// EndAt ends the stream cleanly after n bytes of text.
func EndAt(text string, n int) Script { return Play(text[:n]) }

// Silent sends text and then nothing more, with the connection open.
func Silent(text string) Script {
	return func(c *Conn) { c.Send(text); c.Hold() }
}

// Chunks sends text in pieces of n bytes, as a proxy in between may do.
func Chunks(text string, n int) Script {
	return func(c *Conn) {
		c.Begin()
		for ; len(text) > n; text = text[n:] {
			c.Send(text[:n])
		}
		c.Send(text)
	}
}

// Gzip sends text compressed, flushed after each of the pieces.
func Gzip(pieces ...string) Script {
	return func(c *Conn) {
		c.Header().Set("Content-Encoding", "gzip")
		c.Header().Set("Content-Type", "text/event-stream")
		z := gzip.NewWriter(c)
		for _, p := range pieces {
			_, _ = z.Write([]byte(p))
			_ = z.Flush()
			c.Flush()
		}
		_ = z.Close()
	}
}

// Refuse answers with a status, a reason phrase and an optional Retry-After, as the platform does: without a body.
func Refuse(status int, reason, retryAfter string) Script {
	return func(c *Conn) {
		conn, buf, err := c.ResponseWriter.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(buf, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n", status, reason)
		if retryAfter != "" {
			fmt.Fprintf(buf, "Retry-After: %s\r\n", retryAfter)
		}
		fmt.Fprint(buf, "\r\n")
		_ = buf.Flush()
	}
}
