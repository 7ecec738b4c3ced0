package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// readAll reads an answer of bounded size.
func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, 16<<20)) }

// Moods of a target.
const (
	well   = ""
	slow   = "slow"
	failed = "503"
	denied = "401"
	resets = "resets connections"
	hangs  = "takes the event and never answers"
	liar   = "stores the event after the caller has given up"
)

// target receives webhook events and records what it took. An exact one knows the keys that it has had, and refuses what is older than
// what it holds; what it refuses it answers with 200, as such targets do.
type target struct {
	name  string
	exact bool
	addr  string
	gone  chan struct{} // closed at the end of the run

	mu     sync.Mutex
	server *http.Server
	mood   string
	taken  []Receipt
	newest map[string]uint64
	keys   map[string]bool
	calls  int
}

func newTarget(t *testing.T, name string, exact bool) *target {
	t.Helper()
	g := &target{name: name, exact: exact, gone: make(chan struct{}), newest: map[string]uint64{}, keys: map[string]bool{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.addr = ln.Addr().String()
	g.serveOn(ln)
	t.Cleanup(func() { close(g.gone); g.close() })
	return g
}

func (g *target) url() string { return "http://" + g.addr }

func (g *target) serveOn(ln net.Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server = &http.Server{Handler: http.HandlerFunc(g.serve), ReadHeaderTimeout: 10 * time.Second}
	go func(s *http.Server) { _ = s.Serve(ln) }(g.server)
}

// close ends the listener and all connections, as the end of a target's process does.
func (g *target) close() {
	g.mu.Lock()
	s := g.server
	g.mu.Unlock()
	_ = s.Close()
}

// reopen is the target's process started again.
func (g *target) reopen() error {
	return poll(10*time.Second, func() error {
		ln, err := net.Listen("tcp", g.addr)
		if err == nil {
			g.serveOn(ln)
		}
		return err
	})
}

func (g *target) set(mood string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mood = mood
}

// received is what was taken so far.
func (g *target) received() []Receipt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Receipt{}, g.taken...)
}

// take records an event; the caller holds the lock.
func (g *target) take(e Event, key string) {
	r := Receipt{Event: e, Key: key}
	if g.exact {
		switch {
		case g.keys[key]:
			r.Known = true
		case e.Seq < g.newest[e.ID]:
			r.Refused = true
		}
	}
	g.keys[key] = true
	g.newest[e.ID] = max(g.newest[e.ID], e.Seq)
	g.taken = append(g.taken, r)
}

func (g *target) serve(w http.ResponseWriter, r *http.Request) {
	body, err := readAll(r.Body)
	if err != nil {
		return
	}
	var e Event
	post := r.Method == http.MethodPost
	if post {
		if err := json.Unmarshal(body, &e); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if r.Header.Get("Stixbridge-Seq") != fmt.Sprint(e.Seq) {
			http.Error(w, "Stixbridge-Seq is not that of the event", http.StatusBadRequest)
			return
		}
	}
	key := r.Header.Get("Idempotency-Key")
	g.mu.Lock()
	mood := g.mood
	g.calls++
	switch {
	case !post:
	case mood == well, mood == slow, mood == hangs:
		g.take(e, key)
	case mood == liar:
		time.AfterFunc(timeout+timeout/2, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.take(e, key)
		})
	}
	g.mu.Unlock()
	wait := time.Duration(0)
	switch mood {
	case failed:
		http.Error(w, "the database is away", http.StatusServiceUnavailable)
		return
	case denied:
		http.Error(w, "the token is over", http.StatusUnauthorized)
		return
	case resets:
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
		return
	case hangs, liar:
		if post {
			wait = time.Hour
		}
	case slow:
		wait = 300 * time.Millisecond
	}
	if wait > 0 {
		select {
		case <-g.gone:
		case <-r.Context().Done():
		case <-time.After(wait):
		}
	}
}
