package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// verdict is what the target does with one request.
type verdict struct {
	status int           // answer with it; 0: 200
	reset  bool          // take the body, then reset the connection
	hang   bool          // take the event, then never answer
	wait   time.Duration // before it answers
	body   string
}

// target is an HTTP receiver of webhook events that records what it took and misbehaves as told.
type target struct {
	*httptest.Server
	mu      sync.Mutex
	taken   []line
	raw     strings.Builder // of every request: headers and body
	calls   int
	judge   func(call int, events []line, r *http.Request) verdict
	unhang  chan struct{}
	stopped sync.Once
}

// newTarget starts a target. judge decides on each request, probes (OPTIONS) included, under the target's lock; nil takes everything.
func newTarget(t testing.TB, judge func(call int, events []line, r *http.Request) verdict) *target {
	g := &target{judge: judge, unhang: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(func() {
		g.stopped.Do(func() { close(g.unhang) })
		g.Server.CloseClientConnections()
		g.Server.Close()
	})
	return g
}

func (g *target) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var events []line
	if r.Method == http.MethodPost {
		if len(body) > 0 && body[0] == '[' {
			err = json.Unmarshal(body, &events)
		} else {
			var l line
			err = json.Unmarshal(body, &l)
			events = []line{l}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	g.mu.Lock()
	g.calls++
	_ = r.Header.Write(&g.raw)
	g.raw.Write(body)
	var v verdict
	if g.judge != nil {
		v = g.judge(g.calls, events, r)
	}
	took := v.hang || (v.status == 0 || v.status/100 == 2) && v.status != http.StatusAlreadyReported && !v.reset
	if took {
		g.taken = append(g.taken, events...)
	}
	g.mu.Unlock()
	switch {
	case v.hang:
		select {
		case <-g.unhang:
		case <-r.Context().Done():
		}
		return
	case v.reset:
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
		return
	}
	if v.wait > 0 {
		select {
		case <-g.unhang:
		case <-time.After(v.wait):
		}
	}
	if v.status != 0 {
		w.WriteHeader(v.status)
	}
	_, _ = io.WriteString(w, v.body)
}

// set changes what the target does.
func (g *target) set(judge func(call int, events []line, r *http.Request) verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.judge = judge
}

// always is a target that does the same with every request.
func always(v verdict) func(int, []line, *http.Request) verdict {
	return func(int, []line, *http.Request) verdict { return v }
}

// got returns the events that the target took.
func (g *target) got() []line {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]line{}, g.taken...)
}

// heard returns everything that was sent to the target.
func (g *target) heard() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.raw.String()
}
