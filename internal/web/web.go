// Package web serves the status page, the metrics, the health endpoints and the HTTP API of a running bridge.
//
// The page is made on the server; a small script exchanges its parts while it is open. Without the script it shows the
// same numbers and reloads by itself. Everything it needs is in the binary, and it loads nothing from elsewhere.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stixbridge/stixbridge/bridge"
)

// Source is the running bridge as this package sees it. Its methods are called from many goroutines, Status at most
// about once a second, and each call is given up after a few seconds.
type Source interface {
	// Status returns everything the page shows.
	Status(ctx context.Context) (bridge.Status, error)
	// Ready returns nil once producers and consumers have been started and the event log answers.
	Ready(ctx context.Context) error
	// Healthy returns why the bridge is degraded; nothing when it is healthy.
	Healthy(ctx context.Context) []string
	// Do carries out an operator's order. An unknown name is an error that wraps ErrUnknown.
	Do(ctx context.Context, o Order) error
}

// Action is what an operator orders.
type Action string

// The orders that Source.Do must understand.
const (
	Pause  Action = "pause"  // stop delivering to a consumer; its position stays
	Resume Action = "resume" // go on where it was paused
)

// Order is one order for one consumer.
type Order struct {
	Action Action
	Name   string
}

// ErrUnknown is wrapped by errors of Source.Do that concern a name that does not exist.
var ErrUnknown = errors.New("no such consumer")

// Options of a Handler. Source is required.
type Options struct {
	Source  Source
	Tokens  bridge.HTTPTokens   // none: open to this machine only
	Listen  string              // the configured address, as given to Listen
	Hosts   []string            // further names by which an open (tokenless) page may be addressed, without port
	Version string              // shown on the page; Status.Version when empty
	Metrics prometheus.Gatherer // served at /metrics; nil: 404 there
	Log     *slog.Logger        // nil: slog.Default()
}

// Handler is the web interface of one bridge. Serve runs it; a handler that is only mounted somewhere works too, but
// remembers the last hour only while somebody looks.
type Handler struct {
	opt     Options
	source  Source
	log     *slog.Logger
	tokens  tokens
	mux     *http.ServeMux
	status  *snapshots
	history *history
	seats   chan struct{} // one for each open watch
	done    chan struct{} // closed when Serve ends, so that watches let go
	pace    time.Duration // between two looks of a watch
	now     func() time.Time
}

const (
	maxWatches = 64 // each holds a connection and about 300 KiB
	watchPace  = 2 * time.Second
)

// New returns the web interface over a source.
func New(opt Options) *Handler {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	h := &Handler{
		opt: opt, source: opt.Source, log: opt.Log, tokens: newTokens(opt.Tokens), mux: http.NewServeMux(),
		history: newHistory(), seats: make(chan struct{}, maxWatches), done: make(chan struct{}), pace: watchPace, now: time.Now,
	}
	h.status = newSnapshots(opt.Source, func() time.Time { return h.now() }, h.history.add)

	h.mux.HandleFunc("GET /{$}", h.viewer(h.page))
	h.mux.HandleFunc("GET /consumers/{name}", h.viewer(h.page))
	h.mux.HandleFunc("GET /producers/{name}", h.viewer(h.page))
	h.mux.HandleFunc("GET /login", h.loginForm)
	h.mux.HandleFunc("POST /login", h.login)
	h.mux.HandleFunc("POST /logout", h.logout)
	h.mux.HandleFunc("GET /assets/{file}", serveAsset)
	h.mux.HandleFunc("GET /healthz", h.healthz)
	h.mux.HandleFunc("GET /readyz", h.readyz)
	h.mux.HandleFunc("GET /api/v1/status", h.viewer(h.apiStatus))
	h.mux.HandleFunc("GET /api/v1/watch", h.viewer(h.watch))
	h.mux.HandleFunc("POST /api/v1/consumers/{name}/{action}", h.operator(h.order))
	if opt.Metrics != nil {
		m := promhttp.HandlerFor(opt.Metrics, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorLog: metricsLog{opt.Log}})
		h.mux.HandleFunc("GET /metrics", h.viewer(m.ServeHTTP))
	}
	h.mux.HandleFunc("/", h.viewer(h.missing))
	return h
}

// ServeHTTP guards every request and hands it to its endpoint.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if status, why := h.refuse(r); status != 0 {
		h.fail(w, r, status, why)
		return
	}
	h.mux.ServeHTTP(w, r)
}

type metricsLog struct{ log *slog.Logger }

func (l metricsLog) Println(v ...any) { l.log.Warn("metrics incomplete", "error", v) }
