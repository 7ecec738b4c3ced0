// Package opencti is the producer that follows an OpenCTI live stream. It is at home with what that stream really does: several events under
// one id, ids that repeat and step back during a recovery, a history that is trimmed while nobody looks.
package opencti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/internal/opencti"
)

// Plugin is the kind opencti-live.
var Plugin = bridge.Define("opencti-live", "OpenCTI live stream: every create, update, delete and merge that a stream collection lets through", Config{
	Start: "all", Recover: true, ListenDelete: true, NoDependencies: true,
}, newProducer).With(bridge.Traits{Live: true}).For(`kind: opencti-live
name: octi
url: https://opencti.example.org
token: ${OPENCTI_READER_TOKEN}
stream: 9f1c2d3e-4a5b-4c6d-8e7f-0a1b2c3d4e5f
start: all
`)

// Config of a live stream.
type Config struct {
	URL            string        `json:"url,omitempty" jsonschema:"format=uri,description=Base URL of the platform. Default: opencti.url."`
	Token          bridge.Secret `json:"token,omitempty" jsonschema:"description=API token of a user who may read the stream (capability TAXIIAPI\\, and the markings). Default: opencti.token."`
	Stream         string        `json:"stream" jsonschema:"description=Id of the live stream's collection\\, as the platform shows it under Data sharing."`
	Start          string        `json:"start,omitempty" jsonschema:"description=Where a new producer begins: all (what the platform holds\\, then what happens)\\, new\\, or an RFC 3339 time. Default all."`
	Recover        bool          `json:"recover,omitempty" jsonschema:"description=Read from the platform's database what its stream no longer has: at the start\\, and after a gap. Default true."`
	ListenDelete   bool          `json:"listen_delete,omitempty" jsonschema:"description=Also take deletes. Default true."`
	NoDependencies bool          `json:"no_dependencies,omitempty" jsonschema:"description=Leave out relationships that only touch what the collection lets through. What an object refers to directly always comes. Default true."`
	WithInferences bool          `json:"with_inferences,omitempty" jsonschema:"description=Also take what the platform's rules inferred."`
	TLS            bridge.TLS    `json:"tls,omitempty" jsonschema:"description=Authorities and client certificate for this platform. Default: opencti.tls."`
}

// Times that tests shorten.
type pace struct {
	idle    time.Duration // longest silence of the platform, which beats every 5 s
	least   time.Duration // first wait before a new connection
	most    time.Duration // longest one
	mend    time.Duration // first wait after an answer that only somebody else can mend
	refused time.Duration // longest one
	commit  time.Duration // least time between two commits while events come
	max     int           // largest event in bytes
}

type producer struct {
	Config
	pace
	since    string // position that start names, when it is a time
	platform string // id of the platform
	client   *http.Client

	origin  *bridge.Origin // of the last event; Produce alone uses it and scratch
	scratch []byte

	mu     sync.Mutex
	report report
}

func newProducer(c Config) (bridge.Producer, error) {
	p := &producer{Config: c, pace: pace{idle: 30 * time.Second, least: 500 * time.Millisecond, most: 30 * time.Second, mend: 5 * time.Second, refused: time.Minute, commit: 250 * time.Millisecond, max: 64 << 20}}
	if err := opencti.Address(c.URL); err != nil {
		return nil, bridge.KeyError("url", err)
	}
	switch {
	case c.Token == "":
		return nil, bridge.KeyError("token", errors.New("name the token of a user who may read the stream"))
	case c.Stream == "" || strings.ContainsAny(c.Stream, "/?#"):
		return nil, bridge.KeyError("stream", errors.New("name the collection's id, as the platform shows it under Data sharing, Live streams"))
	}
	switch c.Start {
	case "", "all", "new":
	default:
		at, err := time.Parse(time.RFC3339, c.Start)
		if err != nil {
			return nil, bridge.KeyError("start", fmt.Errorf("%q is none of all, new, or a time such as 2026-11-23T00:00:00Z", c.Start))
		}
		p.since = position{}.String()
		if ms := at.UnixMilli(); ms > 0 {
			p.since = position{ms - 1, lastOfMillisecond}.String() // the stream gives what comes strictly after
		}
	}
	conf, err := httpx.LoadTLS(c.TLS.CA, c.TLS.Cert, c.TLS.Key, c.TLS.Insecure)
	if err != nil {
		return nil, bridge.KeyError("tls", err)
	}
	p.platform = opencti.PlatformID(c.URL)
	// The stream has limits of its own for silence and size, and its own idea of when to try again.
	p.client = httpx.New(httpx.Options{Trusted: []string{c.URL}, TLS: conf, Retry: -1, Idle: -1, MaxBody: -1, MaxDecoded: -1})
	p.client.CheckRedirect = sameHost
	return p, nil
}

// sameHost keeps the token from going to another host.
func sameHost(r *http.Request, via []*http.Request) error {
	if len(via) > 5 || r.URL.Host != via[0].URL.Host {
		return fmt.Errorf("the platform redirects to %s: write the final address into url", httpx.Redact(r.URL.String()))
	}
	return nil
}

// position of the stream: milliseconds and a counter.
type position struct{ ms, n int64 }

func (p position) String() string {
	return strconv.FormatInt(p.ms, 10) + "-" + strconv.FormatInt(p.n, 10)
}

func (p position) before(q position) bool { return p.ms < q.ms || p.ms == q.ms && p.n < q.n }

func (p position) time() time.Time { return time.UnixMilli(p.ms).UTC() }

// parsePosition reads an id; bare milliseconds count as their first event.
func parsePosition(s string) (position, bool) {
	ms, n, counted := strings.Cut(s, "-")
	a, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || a < 0 {
		return position{}, false
	}
	if !counted {
		return position{ms: a}, true
	}
	b, err := strconv.ParseInt(n, 10, 64)
	return position{a, b}, err == nil && b >= 0
}

// report is what status shows.
type report struct {
	connections int
	events      uint64
	ignored     map[string]uint64 // events of unknown names, by name
	position    string
	recovering  string // date up to which the platform's database is being read
	heartbeat   time.Time
}

func (p *producer) note(f func(*report)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.report)
}

// Report implements bridge.Reporter.
func (p *producer) Report() map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[string]any{"position": p.report.position, "connections": p.report.connections, "received": p.report.events}
	if p.report.recovering != "" {
		m["recovering_until"] = p.report.recovering
	}
	for name, n := range p.report.ignored {
		m["ignored_"+name] = n
	}
	if !p.report.heartbeat.IsZero() {
		m["heartbeat"] = p.report.heartbeat.UTC().Format(time.RFC3339)
	}
	return m
}

// Probe opens the stream, reads what it first says, and hangs up.
func (p *producer) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := p.open(ctx, "", "", func(message) error { return errEnough })
	if errors.Is(err, errEnough) {
		return nil
	}
	return p.explain(err)
}

// Close lets go of connections that are kept alive.
func (p *producer) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

var errEnough = errors.New("enough")
