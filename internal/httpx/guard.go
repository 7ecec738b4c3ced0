package httpx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
)

// RefusedError says that a request would have gone to an address that it must not reach.
type RefusedError struct {
	Host string // as asked for
	Addr string // what it resolved to
	Why  string
}

func (e *RefusedError) Error() string {
	if e.Addr == "" {
		return fmt.Sprintf("%s refused: %s", e.Host, e.Why)
	}
	return fmt.Sprintf("%s is at %s, %s: refused, because no one wrote this host in the configuration", e.Host, e.Addr, e.Why)
}

// guard decides where connections may go. It looks at the address that a connection is really made to, after the name was
// resolved, so that a name which changes its address between two looks gains nothing.
type guard struct {
	allowPrivate bool
	trusted      map[string]bool // "host" or "host:port", lower case

	mu      sync.RWMutex
	proxies map[string]bool // the environment's proxies, which are the user's word too
}

func newGuard(o Options) *guard {
	g := &guard{allowPrivate: o.AllowPrivate, trusted: map[string]bool{}, proxies: map[string]bool{}}
	for _, t := range o.Trusted {
		if key := trustKey(t); key != "" {
			g.trusted[key] = true
		}
	}
	return g
}

// trustKey makes "host:port" of a URL and leaves "host" and "host:port" as they are.
func trustKey(s string) string {
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return ""
		}
		return hostPort(u)
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return net.JoinHostPort(fold(host), port)
	}
	return fold(strings.Trim(s, "[]"))
}

func fold(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return net.JoinHostPort(fold(u.Hostname()), port)
}

func (g *guard) trusts(hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	host = fold(host)
	key := net.JoinHostPort(host, port)
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.trusted[host] || g.trusted[key] || g.proxies[key]
}

// dial connects to host:port, and to no address that why names.
func (g *guard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := dialer
	if g.trusts(addr) {
		return d.DialContext(ctx, network, addr)
	}
	d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return &RefusedError{Host: addr, Addr: resolved, Why: "which is no address"}
		}
		if why := g.why(ap.Addr()); why != "" {
			return &RefusedError{Host: addr, Addr: ap.Addr().String(), Why: why}
		}
		return nil
	}
	conn, err := d.DialContext(ctx, network, addr)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return nil, refused // without the dialer's frame around it
	}
	return conn, err
}

var (
	carrierGrade = netip.MustParsePrefix("100.64.0.0/10") // also holds a cloud's metadata service
	nat64        = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour    = netip.MustParsePrefix("2002::/16")
	reserved     = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	}
)

// why says what is wrong with an address, or nothing.
func (g *guard) why(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch { // addresses that carry an IPv4 address are what that one is
	case nat64.Contains(a):
		a = netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(a):
		a = netip.AddrFrom4([4]byte(b[2:6]))
	}
	switch {
	case a.IsLinkLocalUnicast():
		return "a link-local address (metadata services live there)"
	case a.IsUnspecified(), a.IsMulticast(), a.IsInterfaceLocalMulticast():
		return "an address of no host"
	case a.IsLoopback() && !g.allowPrivate:
		return "a loopback address"
	case (a.IsPrivate() || carrierGrade.Contains(a)) && !g.allowPrivate:
		return "a private address"
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return "a reserved address"
		}
	}
	return ""
}

// proxy asks the environment. What goes through a proxy is resolved there; all that can be checked here is what the URL says.
func (g *guard) proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if u == nil || err != nil {
		return u, err
	}
	target := hostPort(req.URL)
	if !g.trusts(target) {
		host := fold(req.URL.Hostname())
		if a, perr := netip.ParseAddr(host); perr == nil {
			if why := g.why(a); why != "" {
				return nil, &RefusedError{Host: target, Addr: a.String(), Why: why}
			}
		} else if !g.allowPrivate && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
			return nil, &RefusedError{Host: target, Addr: "loopback", Why: "a loopback address"}
		}
	}
	g.mu.Lock()
	g.proxies[hostPort(u)] = true
	g.mu.Unlock()
	return u, nil
}

// kept headers travel along when a redirect leaves the origin; all others may hold a key that the next host must not see.
var kept = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Cache-Control": true, "If-Modified-Since": true,
	"If-None-Match": true, "Range": true, "User-Agent": true,
}

// redirect follows within http and https, never down from https, and takes our secrets to no other origin.
func (g *guard) redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return &RefusedError{Host: Redact(req.URL.String()), Why: "too many redirects"}
	}
	if s := req.URL.Scheme; s != "http" && s != "https" {
		return &RefusedError{Host: Redact(req.URL.String()), Why: "a redirect to another scheme"}
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme == "http" {
		return &RefusedError{Host: Redact(req.URL.String()), Why: "a redirect from https down to http"}
	}
	if hostPort(req.URL) != hostPort(via[0].URL) || req.URL.Scheme != via[0].URL.Scheme {
		for k := range req.Header {
			if !kept[k] {
				req.Header.Del(k)
			}
		}
	}
	return nil
}
