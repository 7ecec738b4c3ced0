// Package httpx makes the HTTP clients that sources are read and targets are written with. A client refuses addresses
// inside the house that nobody wrote down, bounds what a peer can make us read, notices silence and truncation, retries
// briefly what is safe to retry, and keeps to a rate per host. Longer patience is the caller's: the runtime retries for as
// long as it takes.
package httpx

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Version is the second half of the user agent; main sets it before the first client is made.
var Version = "dev"

// Defaults of Options.
const (
	DefaultMaxBody    = 2 << 30
	DefaultMaxDecoded = 8 << 30
	DefaultRetry      = 30 * time.Second
	DefaultIdle       = 60 * time.Second
	maxRedirects      = 10
)

// Options of a client. The zero value is a careful client for public addresses.
type Options struct {
	// Trusted hosts were written down by the user, as "host", "host:port" or a whole URL; they may be anywhere. With a port
	// (a URL always has one) only that port is trusted. Everything else, redirects included, must be a public address.
	Trusted []string
	// AllowPrivate opens private and loopback addresses to every name. Link-local addresses, where clouds
	// keep their metadata services, stay closed unless trusted.
	AllowPrivate bool

	MaxBody    int64 // bytes of a response on the wire; 0: DefaultMaxBody, negative: no limit
	MaxDecoded int64 // bytes of a response after decompression; 0: DefaultMaxDecoded, negative: no limit

	// Retry is the time that all tries of one request take together at most; 0: DefaultRetry, negative: one try only.
	// Only requests without effect are retried (GET, HEAD, OPTIONS).
	Retry time.Duration
	// Idle is how long a response may stand still, before its head or inside its body; 0: DefaultIdle, negative: forever.
	Idle time.Duration

	Rate  float64 // requests a second to one host; 0: as fast as they come
	Burst int     // requests that may go out at once under Rate; 0: 1

	TLS *tls.Config // see LoadTLS; nil: the system's authorities
}

// New makes a client. It is safe for concurrent use and keeps connections alive; CloseIdleConnections ends them.
func New(o Options) *http.Client {
	o = o.filled()
	g := newGuard(o)
	t := &http.Transport{
		Proxy:                 g.proxy,
		DialContext:           g.dial,
		TLSClientConfig:       o.TLS,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // limiter decodes, and counts while it does
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	var rt http.RoundTripper = &limiter{next: t, o: o}
	if o.Rate > 0 {
		rt = &pacer{next: rt, rate: o.Rate, burst: o.Burst}
	}
	if o.Retry > 0 {
		rt = &retrier{next: rt, budget: o.Retry}
	}
	return &http.Client{Transport: agent{rt}, CheckRedirect: g.redirect}
}

func (o Options) filled() Options {
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxDecoded == 0 {
		o.MaxDecoded = DefaultMaxDecoded
	}
	if o.Retry == 0 {
		o.Retry = DefaultRetry
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Burst < 1 {
		o.Burst = 1
	}
	return o
}

// agent names us.
type agent struct{ next http.RoundTripper }

func (a agent) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", "stixbridge/"+Version)
	}
	return a.next.RoundTrip(req)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport through the chain.
func (a agent) CloseIdleConnections() { closeIdle(a.next) }

func closeIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

var dialer = net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
