package httpx

import (
	"net/http"
	"sync"

	"golang.org/x/time/rate"
)

// pacer spaces the requests to each host.
type pacer struct {
	next  http.RoundTripper
	rate  float64
	burst int

	mu    sync.Mutex
	hosts map[string]*rate.Limiter
}

func (p *pacer) CloseIdleConnections() { closeIdle(p.next) }

func (p *pacer) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := p.of(hostPort(req.URL)).Wait(req.Context()); err != nil {
		return nil, err
	}
	return p.next.RoundTrip(req)
}

func (p *pacer) of(host string) *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts == nil || len(p.hosts) > 1000 { // hosts out of redirects must not grow it for ever
		p.hosts = map[string]*rate.Limiter{}
	}
	l := p.hosts[host]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(p.rate), p.burst)
		p.hosts[host] = l
	}
	return l
}
