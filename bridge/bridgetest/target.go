package bridgetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
)

// Receipt is one event as a target saw it.
type Receipt struct {
	EventID string
	Object  string // STIX id
	Seq     uint64
}

// Target is where a sink delivers to.
type Target interface {
	Section() string           // the plugin's own configuration for this target, JSON
	Received() []Receipt       // in the order in which they came, repeats included
	Fault(f Fault, n int) bool // the next n deliveries meet f (all when negative); false when this target cannot do that
	Refuse(object string) bool // deliveries that hold this object are refused as invalid from now on; false when it cannot
}

// HTTPTarget is a Target over HTTP.
type HTTPTarget struct {
	*Server
	section func(url string) string
	read    func(r *http.Request, body []byte) ([]Receipt, error)

	mu       sync.Mutex
	received []Receipt
	refused  map[string]bool
}

// NewHTTPTarget starts one. Read takes a request apart; its error fails the test.
func NewHTTPTarget(t testing.TB, section func(url string) string, read func(*http.Request, []byte) ([]Receipt, error)) *HTTPTarget {
	h := &HTTPTarget{section: section, read: read, refused: map[string]bool{}}
	h.Server = Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sink gave up
		}
		if r.Method == http.MethodHead || r.Method == http.MethodGet || r.Method == http.MethodOptions {
			return // a probe
		}
		got, err := h.read(r, body)
		if err != nil {
			t.Errorf("the target cannot read what it got: %v", err)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, g := range got {
			if h.refused[g.Object] {
				w.WriteHeader(http.StatusUnprocessableEntity)
				fmt.Fprint(w, `{"error":"this object is not acceptable"}`)
				return
			}
		}
		h.received = append(h.received, got...)
		w.WriteHeader(http.StatusOK)
	}))
	return h
}

// Section implements Target.
func (h *HTTPTarget) Section() string { return h.section(h.URL) }

// Received implements Target.
func (h *HTTPTarget) Received() []Receipt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Receipt(nil), h.received...)
}

// Fault implements Target.
func (h *HTTPTarget) Fault(f Fault, n int) bool { h.Server.Fault(f, n); return true }

// Refuse implements Target.
func (h *HTTPTarget) Refuse(object string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused[object] = true
	return true
}

// ReadLine takes apart one event in the form of Event.Line.
func ReadLine(b []byte) (Receipt, error) {
	var l struct {
		Seq     uint64 `json:"seq"`
		ID      string `json:"id"`
		EventID string `json:"event_id"`
		Object  struct {
			ID string `json:"id"`
		} `json:"object"`
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Receipt{}, fmt.Errorf("no event line: %w: %.80q", err, b)
	}
	if l.ID == "" || l.EventID == "" || l.Seq == 0 || l.Object.ID != l.ID {
		return Receipt{}, fmt.Errorf("an event line without seq, id, event_id or object: %.200q", b)
	}
	return Receipt{EventID: l.EventID, Object: l.ID, Seq: l.Seq}, nil
}
