package engine

import (
	"net/http"
	"sync"

	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/httpx"
)

// httpClients lends each plugin an HTTP client that trusts the hosts of its own section, and no others inside.
type httpClients struct {
	mu    sync.Mutex
	by    map[string]*http.Client
	hosts map[string][]string
}

func newClients(cfg *config.Loaded, version string) *httpClients {
	httpx.Version = version
	h := &httpClients{by: map[string]*http.Client{}, hosts: map[string][]string{}}
	platform := cfg.Config.OpenCTI.URL
	add := func(name string, section []byte) {
		h.hosts[name] = httpx.URLs(section)
		if platform != "" {
			h.hosts[name] = append(h.hosts[name], platform)
		}
	}
	for _, p := range cfg.Producers {
		add(p.Name, p.Section())
	}
	for _, c := range cfg.Consumers {
		add(c.Name, c.Section())
	}
	return h
}

func (h *httpClients) of(name string) *http.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by[name] == nil {
		h.by[name] = httpx.New(httpx.Options{Trusted: h.hosts[name]})
	}
	return h.by[name]
}

// trust adds a host to a name's client.
func (h *httpClients) trust(name, address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hosts[name] = append(h.hosts[name], address)
	delete(h.by, name)
}
