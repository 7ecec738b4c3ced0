package httpx

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, o Options) *http.Client {
	t.Helper()
	c := New(o)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, c *http.Client, url string) ([]byte, error) {
	t.Helper()
	r, err := Fetch(t.Context(), c, url, Validators{})
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

func TestAddressesThatNoOneWroteDownAreRefused(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	tests := []struct {
		name, url string
		o         Options
		refused   bool
	}{
		{"a loopback address", s.URL, Options{}, true},
		{"a name that resolves to loopback", "http://localhost:" + port, Options{}, true},
		{"a trusted URL", s.URL, Options{Trusted: []string{s.URL + "/feed?x=1"}}, false},
		{"a trusted host", s.URL, Options{Trusted: []string{"127.0.0.1"}}, false},
		{"a trusted host on another port", s.URL, Options{Trusted: []string{"127.0.0.1:1"}}, true},
		{"a trusted name, though it resolves to loopback", "http://LOCALHOST:" + port, Options{Trusted: []string{"localhost"}}, false},
		{"trust in a name is no trust in its address", s.URL, Options{Trusted: []string{"localhost"}}, true},
		{"private addresses allowed", s.URL, Options{AllowPrivate: true}, false},
		{"a metadata service, private addresses allowed", "http://169.254.169.254/latest", Options{AllowPrivate: true}, true},
		{"an address of no host", "http://0.0.0.0:" + port, Options{}, true},
		{"loopback in IPv6 clothes", "http://[::ffff:127.0.0.1]:" + port, Options{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := get(t, client(t, tt.o), tt.url)
			var refused *RefusedError
			if got := errors.As(err, &refused); got != tt.refused || !tt.refused && err != nil {
				t.Fatalf("refused %v, want %v: %v", got, tt.refused, err)
			}
		})
	}
}

func TestWhichAddressesAreInside(t *testing.T) {
	g := newGuard(Options{})
	for addr, inside := range map[string]bool{
		"10.1.2.3": true, "172.31.0.1": true, "192.168.1.1": true, "127.8.8.8": true, "169.254.169.254": true, "100.100.100.200": true,
		"0.0.0.0": true, "224.0.0.1": true, "255.255.255.255": true, "192.0.0.192": true, "::1": true, "::": true, "fe80::1": true,
		"fd00:ec2::254": true, "::ffff:10.0.0.1": true, "64:ff9b::7f00:1": true, "2002:7f00:1::": true, "ff02::1": true,
		"8.8.8.8": false, "172.32.0.1": false, "2606:4700::1111": false, "64:ff9b::808:808": false, "100.128.0.1": false,
	} {
		if why := g.why(netip.MustParseAddr(addr)); (why != "") != inside {
			t.Errorf("%s: %q, want inside %v", addr, why, inside)
		}
	}
}

// A name may resolve to a public address when it is looked at and to a private one when it is connected to. The check sits where
// the connection is made, so there is no first look.
func TestTheAddressIsCheckedWhenTheConnectionIsMade(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	var asked atomic.Int32
	dns := resolver(t, func() [4]byte {
		asked.Add(1)
		return [4]byte{127, 0, 0, 1}
	})
	old := dialer
	dialer.Resolver = dns
	t.Cleanup(func() { dialer = old })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	_, err := get(t, client(t, Options{}), "http://feed.example:"+port)
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Addr != "127.0.0.1" {
		t.Fatalf("want a refusal of 127.0.0.1, got %v", err)
	}
	if asked.Load() == 0 {
		t.Fatal("the resolver was not asked: the test proves nothing")
	}
}

// resolver answers every A question with what addr gives, and others with nothing.
func resolver(t *testing.T, addr func() [4]byte) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := append([]byte(nil), buf[:n]...)
			end := 12 + bytes.IndexByte(q[12:], 0) + 5
			a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
			if q[end-3] == 1 { // type A
				ip := addr()
				a[7] = 1
				a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				a = append(a, ip[:]...)
			}
			_, _ = pc.WriteTo(a, from)
		}
	}()
	t.Cleanup(func() { _ = pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestRedirects(t *testing.T) {
	inside := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Api-Key"), r.Header.Get("If-None-Match"))
	})
	outside := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/in": inside.URL, "/file": "file:///etc/passwd", "/self": "/ok", "/loop": "/loop"}[r.URL.Path]
		if to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		fmt.Fprint(w, r.Header.Get("X-Api-Key"))
	})
	key := http.Header{"X-Api-Key": {"k3y"}}
	tests := []struct {
		name, path string
		trusted    []string
		want       string
		refused    bool
	}{
		{"to an address inside is refused", "/in", nil, "", true},
		{"to another trusted host goes without our key", "/in", []string{inside.URL}, `"v1"`, false},
		{"within the host keeps the key", "/self", nil, "k3y", false},
		{"to another scheme is refused", "/file", nil, "", true},
		{"in a circle is refused", "/loop", nil, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, Options{Trusted: append(tt.trusted, outside.URL)})
			r, err := Fetch(t.Context(), c, outside.URL+tt.path, Validators{ETag: `"v1"`}, key)
			if refused := errors.As(err, new(*RefusedError)); refused != tt.refused {
				t.Fatalf("refused %v, want %v: %v", refused, tt.refused, err)
			}
			if err != nil {
				return
			}
			defer r.Body.Close()
			b, _ := io.ReadAll(r.Body)
			if string(b) != tt.want {
				t.Errorf("got %q, want %q", b, tt.want)
			}
		})
	}
}

func TestARedirectFromHTTPSDownToHTTPIsRefused(t *testing.T) {
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") })
	s := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer s.Close()
	c := client(t, Options{Trusted: []string{s.URL, plain.URL}, TLS: s.Client().Transport.(*http.Transport).TLSClientConfig})
	if _, err := get(t, c, s.URL); !errors.As(err, new(*RefusedError)) {
		t.Fatalf("want a refusal, got %v", err)
	}
}

func gz(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b)
	_ = w.Close()
	return buf.Bytes()
}

func TestBodies(t *testing.T) {
	text := strings.Repeat("stix ", 2000)
	bomb := gz(make([]byte, 8<<20))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/plain":
			fmt.Fprint(w, text)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(gz([]byte(text)))
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		case "/cut", "/cutgzip":
			b := []byte(text)
			if r.URL.Path == "/cutgzip" {
				b = gz(b)
				w.Header().Set("Content-Encoding", "gzip")
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			_, _ = w.Write(b[:len(b)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/chunkcut":
			_, _ = io.WriteString(w, text[:5000])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/garbage":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, text)
		case "/declared":
			w.Header().Set("Content-Length", "99999999")
		}
	})
	tests := []struct {
		name, path string
		check      func(error) bool
	}{
		{"plain", "/plain", nil},
		{"gzip is decoded", "/gzip", nil},
		{"a bomb stops at the limit", "/bomb", func(err error) bool { l := new(TooLargeError); return errors.As(err, &l) && l.Decoded }},
		{"a body shorter than declared is truncated", "/cut", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"gzip cut short is truncated", "/cutgzip", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"chunks without an end are truncated", "/chunkcut", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"no gzip though it says so", "/garbage", func(err error) bool { return errors.Is(err, gzip.ErrHeader) }},
		{"declared above the limit is not read", "/declared", func(err error) bool { return errors.As(err, new(*TooLargeError)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := get(t, client(t, Options{AllowPrivate: true, MaxBody: 1 << 20, MaxDecoded: 1 << 20, Retry: -1}), s.URL+tt.path)
			if tt.check == nil {
				if err != nil || string(b) != text {
					t.Fatalf("%d bytes, %v", len(b), err)
				}
				return
			}
			if !tt.check(err) {
				t.Fatalf("got %d bytes and %v", len(b), err)
			}
			if len(b) > 1<<20+64<<10 {
				t.Errorf("read %d bytes before it stopped", len(b))
			}
		})
	}
}

func TestABombStopsLongBeforeAGenerousLimit(t *testing.T) {
	bomb := bytes.Repeat(gz(make([]byte, 1<<20)), 100) // members of one file
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	r, err := Fetch(t.Context(), client(t, Options{AllowPrivate: true}), s.URL, Validators{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	if !errors.As(err, new(*TooLargeError)) || n > bombGrace+1<<20 {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

func TestTheUndeclaredBodyStopsAtTheLimitUnlessItIsAnEventStream(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		}
		for range 64 {
			_, _ = w.Write(make([]byte, 4096))
		}
	})
	c := client(t, Options{AllowPrivate: true, MaxBody: 100_000})
	if _, err := get(t, c, s.URL); !errors.As(err, new(*TooLargeError)) {
		t.Errorf("want too large, got %v", err)
	}
	if b, err := get(t, c, s.URL+"/stream"); err != nil || len(b) != 64*4096 {
		t.Errorf("stream: %d bytes, %v", len(b), err)
	}
}

func TestSilence(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			fmt.Fprint(w, "beginning")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	c := client(t, Options{AllowPrivate: true, Idle: 50 * time.Millisecond})
	for _, path := range []string{"/head", "/body"} {
		_, err := get(t, c, s.URL+path)
		if !errors.Is(err, ErrIdle) || Reason(err) != "timeout" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestASlowReaderIsNoSilentPeer(t *testing.T) {
	text := strings.Repeat("x", 1<<20)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
	r, err := Fetch(t.Context(), client(t, Options{AllowPrivate: true, Idle: 40 * time.Millisecond}), s.URL, Validators{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	<-time.After(120 * time.Millisecond)
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil || n != 1<<20-1000 {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// script answers with one status after the other, then 200.
type script struct {
	steps []step
	calls int
	at    []time.Duration
	start time.Time
}

type step struct {
	status int
	after  string
	err    error
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	s.at = append(s.at, time.Since(s.start))
	st := step{status: 200}
	if s.calls < len(s.steps) {
		st = s.steps[s.calls]
	}
	s.calls++
	if st.err != nil {
		return nil, st.err
	}
	h := http.Header{}
	if st.after != "" {
		h.Set("Retry-After", st.after)
	}
	return &http.Response{StatusCode: st.status, Header: h, Body: io.NopCloser(strings.NewReader("body")), Request: req}, nil
}

func TestRetries(t *testing.T) {
	many := make([]step, 100)
	for i := range many {
		many[i] = step{status: 503}
	}
	reset := errors.New("connection reset")
	tests := []struct {
		name   string
		method string
		steps  []step
		status int
		err    error
		calls  int // 0: any
		least  time.Duration
		most   time.Duration
	}{
		{"a 503 is tried again", "GET", []step{{status: 503}, {status: 503}}, 200, nil, 3, 0, 5 * time.Second},
		{"Retry-After is waited for", "GET", []step{{status: 429, after: "7"}}, 200, nil, 2, 7 * time.Second, 7 * time.Second},
		{"a Retry-After beyond the budget is the caller's", "GET", []step{{status: 429, after: "31"}}, 429, nil, 1, 0, 0},
		{"a torn connection is tried again", "GET", []step{{err: reset}}, 200, nil, 2, 0, time.Second},
		{"a 500 is the caller's", "GET", []step{{status: 500}}, 500, nil, 1, 0, 0},
		{"a 404 is the caller's", "GET", []step{{status: 404}}, 404, nil, 1, 0, 0},
		{"a POST is never repeated", "POST", []step{{status: 503}}, 503, nil, 1, 0, 0},
		{"a POST is never repeated after an error", "POST", []step{{err: reset}}, 0, reset, 1, 0, 0},
		{"the budget ends it", "GET", many, 503, nil, 0, 20 * time.Second, 30 * time.Second},
		{"a refusal is not tried again", "GET", []step{{err: &RefusedError{}}}, 0, &RefusedError{}, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{steps: tt.steps, start: time.Now()}
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://x.example/", nil)
				resp, err := (&retrier{next: s, budget: 30 * time.Second}).RoundTrip(req)
				took := time.Since(s.start)
				if (err != nil) != (tt.err != nil) {
					t.Fatalf("error %v, want %v", err, tt.err)
				}
				if err == nil {
					if resp.StatusCode != tt.status {
						t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
					}
					if b, _ := io.ReadAll(resp.Body); string(b) != "body" {
						t.Errorf("the last answer's body is gone: %q", b)
					}
				}
				if tt.calls > 0 && s.calls != tt.calls {
					t.Errorf("%d calls, want %d", s.calls, tt.calls)
				}
				if took < tt.least || took > tt.most {
					t.Errorf("took %s, want %s to %s", took, tt.least, tt.most)
				}
			})
		})
	}
}

func TestACancelledRetryEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &script{steps: []step{{status: 429, after: "20"}}, start: time.Now()}
		time.AfterFunc(3*time.Second, cancel)
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://x.example/", nil)
		_, err := (&retrier{next: s, budget: 30 * time.Second}).RoundTrip(req)
		if !errors.Is(err, context.Canceled) || time.Since(s.start) != 3*time.Second {
			t.Fatalf("%v after %s", err, time.Since(s.start))
		}
	})
}

func TestRequestsToOneHostAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{start: time.Now()}
		p := &pacer{next: s, rate: 2, burst: 1}
		for _, url := range []string{"http://a.example/", "http://a.example/", "http://b.example/", "http://A.example:80/"} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
			resp, err := p.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		want := []time.Duration{0, 500 * time.Millisecond, 500 * time.Millisecond, time.Second}
		if diff := cmp.Diff(want, s.at); diff != "" {
			t.Error(diff)
		}
	})
}

func TestConditionalGET(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/always304" || r.Header.Get("If-None-Match") == `"v2"` || r.Header.Get("If-Modified-Since") == "Tue, 24 Nov 2026 10:00:00 GMT" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"v2"`)
		w.Header().Set("Last-Modified", "Tue, 24 Nov 2026 10:00:00 GMT")
		fmt.Fprint(w, "v2 ", r.Header.Get("User-Agent"))
	})
	c := client(t, Options{AllowPrivate: true})
	r, err := Fetch(t.Context(), c, s.URL, Validators{ETag: `"v1"`})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if string(b) != "v2 stixbridge/dev" {
		t.Errorf("got %q", b)
	}
	again, err := Fetch(t.Context(), c, s.URL, r.Validators)
	if err != nil || !again.NotModified || again.Body != nil || again.Validators != r.Validators {
		t.Errorf("got %+v, %v", again, err)
	}
	if _, err := Fetch(t.Context(), c, s.URL+"/always304", Validators{}); err == nil {
		t.Error("a 304 that was not asked for is no document")
	}
}

func TestErrorsSayWhatHappenedAndHideWhatIsSecret(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(429)
		fmt.Fprint(w, "slow\n down\x1b[31m please ", strings.Repeat("é", 400))
	})
	address := strings.Replace(s.URL, "http://", "http://user:pa55@", 1) + "/feed?key=s3cret"
	_, err := get(t, client(t, Options{AllowPrivate: true}), address)
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 429 || status.RetryAfter != 2*time.Minute {
		t.Fatalf("got %v", err)
	}
	if v, wait := Classify(err); v != Later || wait != 2*time.Minute {
		t.Errorf("got %v %v", v, wait)
	}
	if !strings.Contains(err.Error(), "slow down[31m please éé") || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("got %q", err)
	}
	_, refused := get(t, client(t, Options{Retry: -1}), address)
	_, closed := get(t, client(t, Options{Retry: -1, AllowPrivate: true}), "http://user:pa55@127.0.0.1:1/feed?key=s3cret")
	_, bad := get(t, client(t, Options{}), "http://user:pa55@[::1/feed?key=s3cret")
	for _, err := range []error{err, refused, closed, bad} {
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "pa55") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAPeerThatRepeatsOurSecretsIsNotQuoted(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/?from="+r.URL.Query().Get("key"), http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "denied to ", r.Header.Get("Authorization"), " ", r.Header.Get("X-Api-Key"), " at ", r.URL.RequestURI())
	})
	c := client(t, Options{AllowPrivate: true})
	for _, path := range []string{"/?key=s3cret%21", "/moved?key=s3cret%21"} {
		_, err := Fetch(t.Context(), c, s.URL+path, Validators{}, http.Header{"Authorization": {"Bearer t0ken"}, "X-Api-Key": {"k3y-of-ours"}})
		if err == nil || !strings.Contains(err.Error(), "denied to") {
			t.Fatalf("got %v", err)
		}
		for _, secret := range []string{"s3cret", "t0ken", "k3y-of-ours"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s shows: %v", secret, err)
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	for status, want := range map[int]Verdict{
		400: Invalid, 413: Invalid, 422: Invalid, 401: Denied, 403: Denied, 404: Retry, 405: Retry, 408: Retry, 409: Retry, 410: Retry,
		429: Later, 500: Retry, 502: Retry, 503: Later, 504: Retry, 302: Retry,
	} {
		if got, _ := ClassifyStatus(status, time.Second); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
	if got, _ := ClassifyStatus(429, 0); got != Retry {
		t.Errorf("429 without Retry-After: %v", got)
	}
}

func TestRetryAfterHasTwoForms(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-3": 0, "junk": 0, "999999999999": 24 * time.Hour,
		"Tue, 24 Nov 2026 10:01:00 GMT": time.Minute, "Tue, 24 Nov 2026 09:00:00 GMT": 0, "Sat, 24 Nov 2046 09:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("%q: %s, want %s", v, got, want)
		}
	}
}

func TestURLsOfASectionAreFoundAtAnyDepth(t *testing.T) {
	got := URLs([]byte(`{"url":"http://10.0.0.1:8080/x","list":[{"a":"https://b.example"}],"name":"http","path":"./x"}`))
	want := map[string]bool{"http://10.0.0.1:8080/x": true, "https://b.example": true}
	for _, u := range got {
		delete(want, u)
	}
	if len(got) != 2 || len(want) != 0 {
		t.Errorf("got %v", got)
	}
}
