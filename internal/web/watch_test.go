package web

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/bridge"
)

// events reads server-sent events: name and data.
func events(t *testing.T, r io.Reader) func() (name, data string) {
	t.Helper()
	in := bufio.NewReader(r)
	return func() (name, data string) {
		t.Helper()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("the watch ended: %v", err)
			}
			line = strings.TrimSuffix(line, "\n")
			switch {
			case line == "" && name != "":
				return name, data
			case strings.HasPrefix(line, "event: "):
				name = strings.TrimPrefix(line, "event: ")
			case strings.HasPrefix(line, "data: "):
				data += strings.TrimPrefix(line, "data: ") + "\n"
			}
		}
	}
}

// open starts a watch; the client asks for compression only when the test does.
func open(t *testing.T, url string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestAWatchSendsTheStatusWhenItChanges(t *testing.T) {
	f := &fake{status: calm(noon)}
	_, url := serveFake(t, f, bridge.HTTPTokens{})
	resp := open(t, url+"/api/v1/watch")
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("content type %q", got)
	}
	next := events(t, resp.Body)
	seen := func() uint64 {
		t.Helper()
		name, data := next()
		var s bridge.Status
		if err := json.Unmarshal([]byte(data), &s); err != nil || name != "status" {
			t.Fatalf("event %q: %v: %s", name, err, data)
		}
		return s.Log.Events
	}
	if got := seen(); got != 1_204_880 {
		t.Errorf("first: %d events", got)
	}
	f.set(func(f *fake) { f.status.Log.Events = 7 })
	if got := seen(); got != 7 { // nothing in between: what has not changed is not sent
		t.Errorf("second: %d events", got)
	}
}

func TestAWatchOfAPageSendsItCompressed(t *testing.T) {
	_, url := serveFake(t, &fake{status: calm(noon)}, bridge.HTTPTokens{})
	resp := open(t, url+"/api/v1/watch?page=/consumers/soc", "Accept-Encoding: gzip")
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	next := events(t, z)
	for range 2 {
		if name, data := next(); name != "page" || !strings.HasPrefix(data, `<div id="page"`) || !strings.Contains(data, "<h1>soc</h1>") {
			t.Fatalf("event %q: %s", name, data)
		}
	}
}

func TestWatchesAreLimited(t *testing.T) {
	h, url := serveFake(t, &fake{status: calm(noon)}, bridge.HTTPTokens{})
	for range maxWatches {
		h.seats <- struct{}{}
	}
	resp := open(t, url+"/api/v1/watch")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d", resp.StatusCode)
	}
	<-h.seats
	if resp := open(t, url+"/api/v1/watch"); resp.StatusCode != 200 {
		t.Errorf("with one seat free: status %d", resp.StatusCode)
	}
}

func TestServeEndsWithOpenWatchesAndLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ln, err := Listen("127.0.0.1:0", bridge.HTTPTokens{})
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{Source: &fake{status: calm(noon)}, Listen: ln.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, ln) }()
	resp := open(t, "http://"+ln.Addr().String()+"/api/v1/watch")
	events(t, resp.Body)()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(4 * time.Second): // Shutdown alone would wait five
		t.Error("an open watch keeps the bridge from ending")
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

func TestListenRefusesWhatOthersCouldReach(t *testing.T) {
	some := bridge.HTTPTokens{Viewer: "v"}
	tests := []struct {
		name, addr string
		tokens     bridge.HTTPTokens
		want       string // part of the error; empty: fine
	}{
		{"loopback needs no token", "127.0.0.1:0", bridge.HTTPTokens{}, ""},
		{"nor does localhost", "localhost:0", bridge.HTTPTokens{}, ""},
		{"all interfaces do", "0.0.0.0:8321", bridge.HTTPTokens{}, "set http.tokens"},
		{"an empty host means all interfaces", ":8321", bridge.HTTPTokens{}, "set http.tokens"},
		{"so does the IPv6 one", "[::]:8321", bridge.HTTPTokens{}, "set http.tokens"},
		{"another name may be anything", "cti.example.org:8321", bridge.HTTPTokens{}, "set http.tokens"},
		{"with a token they are fine", "0.0.0.0:0", some, ""},
		{"a port alone is no address", "8321", some, "want host:port"},
		{"a port must be one", "127.0.0.1:http-ish", some, "is no port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln, err := Listen(tt.addr, tt.tokens)
			if err == nil {
				_ = ln.Close()
			}
			if (tt.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestABusyPortIsSaidWithWhatToDo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = Listen(ln.Addr().String(), bridge.HTTPTokens{})
	if err == nil || !strings.Contains(err.Error(), ln.Addr().String()) || !strings.Contains(err.Error(), "another http.listen") {
		t.Errorf("error %v", err)
	}
}
