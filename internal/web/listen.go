package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stixbridge/stixbridge/bridge"
)

// Off as http.listen means: no web interface. Listen does not know it; whoever calls decides.
const Off = "off"

// CheckListen says what is wrong with an http.listen address, without listening: its form, and tokens that are missing
// although other machines could reach it.
func CheckListen(addr string, t bridge.HTTPTokens) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("http.listen %q: want host:port, such as 127.0.0.1:8321", addr)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("http.listen %q: %q is no port", addr, port)
	}
	if t.Viewer == "" && t.Operator == "" && !isLoopback(host) {
		return fmt.Errorf("http.listen %s: other machines can reach this address; set http.tokens (viewer, operator), or listen on 127.0.0.1:%s", addr, port)
	}
	return nil
}

// Listen opens the address of the web interface. It refuses one that other machines can reach unless there are tokens.
func Listen(addr string, t bridge.HTTPTokens) (net.Listener, error) {
	if err := CheckListen(addr, t); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("http.listen %s: another program (a second bridge?) uses this port; stop it or set another http.listen: %w", addr, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("http.listen %s: the system does not allow this port; take one over 1023: %w", addr, err)
	case err != nil:
		return nil, fmt.Errorf("http.listen %s: %w", addr, err)
	}
	// localhost is a name that this machine's hosts file may map to anything
	if a, ok := ln.Addr().(*net.TCPAddr); ok && t.Viewer == "" && t.Operator == "" && !a.IP.IsLoopback() {
		_ = ln.Close()
		return nil, fmt.Errorf("http.listen %s: it means %s here, which other machines can reach; set http.tokens, or listen on 127.0.0.1", addr, a)
	}
	return ln, nil
}

// isLoopback reports whether a host, as written in an address, is this machine and nothing else.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Serve answers on the listener and remembers the last hour, until ctx ends; then it lets open watches go, waits for
// running requests for at most five seconds and returns nil. It closes the listener and is called once.
func (h *Handler) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // of the whole request; watches only write
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("http.listen %s: %w", h.opt.Listen, err)
		}
		return nil
	})
	g.Go(func() error {
		h.sample(gctx)
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		close(h.done)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			_ = srv.Close()
		}
		return nil
	})
	return g.Wait()
}

// sample looks at the status often enough to fill every slot of the history, whether or not somebody has the page open.
func (h *Handler) sample(ctx context.Context) {
	t := time.NewTicker(historyStep / 2)
	defer t.Stop()
	for {
		_, _ = h.status.get(ctx) // a status that cannot be read leaves a hole in the curve
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
