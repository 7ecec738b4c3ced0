package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/internal/sse/ssetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// read collects what one connection yields.
func read(t *testing.T, req Request) ([]Event, error) {
	t.Helper()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	req.Client = &http.Client{Transport: tr}
	var got []Event
	err := Stream(t.Context(), req, func(e Event) error { got = append(got, e); return nil })
	return got, err
}

func short(events []Event) []string {
	var out []string
	for _, e := range events {
		d := string(e.Data)
		if len(d) > 40 {
			d = fmt.Sprintf("%s… %d bytes", d[:10], len(d))
		}
		out = append(out, e.ID+" "+e.Name+" "+d)
	}
	return out
}

func TestStreamReadsWhatServersSend(t *testing.T) {
	big := strings.Repeat("x", 40<<20)
	tests := []struct {
		name   string
		script ssetest.Script
		want   []string
		end    error
	}{
		{"two events at once", ssetest.Play("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"), []string{"1  a", "2  b"}, io.EOF},
		{"an event without id before the first id has none", ssetest.Play("event: connected\ndata: {}\n\nid: 2\ndata: b\n\n"), []string{" connected {}", "2  b"}, io.EOF},
		{"an event without id keeps the last one", ssetest.Play("id: 1\ndata: a\n\nevent: error\ndata: b\n\n"), []string{"1  a", "1 error b"}, io.EOF},
		{"CRLF line ends", ssetest.Play("id: 1\r\ndata: a\r\n\r\nid: 2\r\ndata: b\r\n\r\n"), []string{"1  a", "2  b"}, io.EOF},
		{"CR line ends", ssetest.Play("id: 1\rdata: a\r\rid: 2\rdata: b\r\r"), []string{"1  a", "2  b"}, io.EOF},
		{"mixed line ends", ssetest.Play("id: 1\r\ndata: a\n\r\nid: 2\ndata: b\r\n\n"), []string{"1  a", "2  b"}, io.EOF},
		{"CRLF in one-byte pieces", ssetest.Chunks("id: 1\r\ndata: a\r\n\r\nid: 2\r\ndata: b\r\n\r\n", 1), []string{"1  a", "2  b"}, io.EOF},
		{"a byte order mark", ssetest.Play("\ufeffid: 1\ndata: a\n\n"), []string{"1  a"}, io.EOF},
		{"comments are no events", ssetest.Play(": hi\n\nid: 1\n: in between\ndata: a\n\n: ping\n\n: ping\n\nid: 2\ndata: b\n\n"), []string{"1  a", "2  b"}, io.EOF},
		{"blocks without data are no events", ssetest.Play("event: x\n\nid: 1\ndata: a\n\nretry: 3\n\nid: 7\n\nid: 2\ndata: b\n\n"), []string{"1  a", "2  b"}, io.EOF},
		{"several data lines", ssetest.Play("id: 1\ndata: a\ndata: b\n\n"), []string{"1  a\nb"}, io.EOF},
		{"no space after the colon", ssetest.Play("id:1\nevent:x\ndata:a\n\n"), []string{"1 x a"}, io.EOF},
		{"extra blank lines", ssetest.Play("\n\n\nid: 1\ndata: a\n\n\n\n\nid: 2\ndata: b\n\n\n"), []string{"1  a", "2  b"}, io.EOF},
		{"data that looks like a field", ssetest.Play("id: 1\ndata: id: 9\n\n"), []string{"1  id: 9"}, io.EOF},
		{"an event that is cut off is dropped", ssetest.CutAt("id: 1\ndata: a\n\nid: 2\ndata: b\n\n", 28), []string{"1  a"}, io.ErrUnexpectedEOF},
		{"an event cut off by a clean end is dropped", ssetest.EndAt("id: 1\ndata: a\n\nid: 2\ndata: b\n\n", 28), []string{"1  a"}, io.ErrUnexpectedEOF},
		{"an event without its blank line is dropped", ssetest.Play("id: 1\ndata: a\n"), nil, io.ErrUnexpectedEOF},
		{"an empty stream", ssetest.Play(""), nil, io.EOF},
		{"compressed", ssetest.Gzip("id: 1\ndata: a\n\nid: 2\nda", "ta: b\n\n"), []string{"1  a", "2  b"}, io.EOF},
		{"40 MiB in 8 KiB pieces, then a small one", ssetest.Chunks("id: 1\ndata: "+big+"\n\nid: 2\ndata: b\n\n", 8<<10), []string{"1  xxxxxxxxxx… 41943040 bytes", "2  b"}, io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := ssetest.New(t, tt.script)
			got, err := read(t, Request{URL: s.URL})
			if d := cmp.Diff(tt.want, short(got)); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
			if !errors.Is(err, tt.end) {
				t.Errorf("Stream ended with %v, want %v", err, tt.end)
			}
		})
	}
}

func TestStreamCutAtEveryByteYieldsOnlyWholeEvents(t *testing.T) {
	text := "id: 1\nevent: create\ndata: {\"n\":1}\n\nid: 1\nevent: create\ndata: {\"n\":2}\n\nid: 2\nevent: update\ndata: {\"n\":3}\n\n"
	for _, ending := range []struct {
		name string
		eol  string
	}{{"LF", "\n"}, {"CRLF", "\r\n"}, {"CR", "\r"}} {
		for _, how := range []struct {
			name   string
			script func(string, int) ssetest.Script
		}{{"cut", ssetest.CutAt}, {"clean end", ssetest.EndAt}} {
			t.Run(ending.name+" "+how.name, func(t *testing.T) {
				text := strings.ReplaceAll(text, "\n", ending.eol)
				blank := ending.eol + ending.eol
				for n := range len(text) + 1 {
					s := ssetest.New(t, how.script(text, n))
					got, err := read(t, Request{URL: s.URL})
					if want := strings.Count(text[:n], blank); len(got) != want {
						t.Fatalf("after %d bytes: %d events, want %d", n, len(got), want)
					}
					for i, e := range got {
						if want := fmt.Sprintf(`{"n":%d}`, i+1); string(e.Data) != want {
							t.Fatalf("after %d bytes: event %d is %s, want %s", n, i, e.Data, want)
						}
					}
					if err == nil {
						t.Fatalf("after %d bytes: no error", n)
					}
				}
			})
		}
	}
}

func TestStreamReadsARealisticLiveStream(t *testing.T) {
	text, err := os.ReadFile("testdata/live-stream.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, chunk := range []int{1 << 20, 1000, 7} {
		s := ssetest.New(t, ssetest.Chunks(string(text), chunk))
		got, err := read(t, Request{URL: s.URL})
		if err != io.EOF {
			t.Fatal(err)
		}
		var names []string
		for _, e := range got {
			names = append(names, e.ID+" "+e.Name)
		}
		want := []string{" connected", "1763856001000-0 create", "1763856002000-0 update", "1763856003000-0 delete", "1763856004000-0 merge",
			"1763856009000-0 heartbeat", "1763856009000-0 consumer_metrics", "1763856010000-0 no-recover"}
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("in pieces of %d (-want +got):\n%s", chunk, d)
		}
	}
}

func TestStreamSaysWhyItWasRefused(t *testing.T) {
	tests := []struct {
		name   string
		script ssetest.Script
		want   HTTPError
	}{
		{"401", ssetest.Refuse(401, "You must be logged in", ""), HTTPError{Status: 401, Reason: "You must be logged in"}},
		{"403", ssetest.Refuse(403, "Forbidden", ""), HTTPError{Status: 403, Reason: "Forbidden"}},
		{"404", ssetest.Refuse(404, "Not Found", ""), HTTPError{Status: 404, Reason: "Not Found"}},
		{"410 with its reason", ssetest.Refuse(410, "This live stream is stopped", ""), HTTPError{Status: 410, Reason: "This live stream is stopped"}},
		{"429 with seconds", ssetest.Refuse(429, "Too Many Requests", "7"), HTTPError{Status: 429, Reason: "Too Many Requests", RetryAfter: 7 * time.Second}},
		{"503 with a date that is over", ssetest.Refuse(503, "Service Unavailable", "Mon, 02 Jan 2006 15:04:05 GMT"), HTTPError{Status: 503, Reason: "Service Unavailable"}},
		{"a login page", func(c *ssetest.Conn) {
			c.Header().Set("Content-Type", "text/html")
			c.Send("<html>\n\nplease log in")
		}, HTTPError{Status: 200, Reason: `content type "text/html" is no event stream: <html> please log in`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := ssetest.New(t, tt.script)
			_, err := read(t, Request{URL: s.URL})
			var he *HTTPError
			if !errors.As(err, &he) {
				t.Fatalf("got %v", err)
			}
			if d := cmp.Diff(tt.want, *he); d != "" {
				t.Error(d)
			}
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d requests, want one", n)
			}
		})
	}
}

func TestStreamSendsItsHeaders(t *testing.T) {
	s := ssetest.New(t, ssetest.Play(""))
	_, _ = read(t, Request{URL: s.URL, LastEventID: "5-0", Header: http.Header{"Authorization": {"Bearer x"}, "User-Agent": {"stixbridge/1"}, "Listen-Delete": {"true"}}})
	h := s.Requests()[0].Header
	for k, want := range map[string]string{"Last-Event-Id": "5-0", "Authorization": "Bearer x", "User-Agent": "stixbridge/1", "Listen-Delete": "true", "Accept": "text/event-stream", "Cache-Control": "no-cache"} {
		if got := h.Get(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
}

func TestStreamStopsOnAnEventOverTheLimit(t *testing.T) {
	event := func(n int) string {
		return "id: 9\nevent: create\ndata: " + strings.Repeat("x", n-len("id: 9\nevent: create\ndata: \n\n")) + "\n\n"
	}
	before := "id: 1\ndata: a\n\n"
	for _, chunk := range []int{1 << 20, 100} {
		s := ssetest.New(t, ssetest.Chunks(before+event(5000), chunk))
		if got, err := read(t, Request{URL: s.URL, Max: 5000}); len(got) != 2 || err != io.EOF {
			t.Errorf("an event of exactly the limit: %d events, %v", len(got), err)
		}
		s = ssetest.New(t, ssetest.Chunks(before+event(5001), chunk))
		got, err := read(t, Request{URL: s.URL, Max: 5000})
		var large *EventTooLargeError
		if len(got) != 1 || !errors.As(err, &large) {
			t.Fatalf("an event over the limit: %d events, %v", len(got), err)
		}
		if d := cmp.Diff(EventTooLargeError{ID: "9", Name: "create", Max: 5000}, *large); d != "" {
			t.Error(d)
		}
	}
}

func TestStreamNoticesASilentPeer(t *testing.T) {
	tests := []struct {
		name   string
		script ssetest.Script
		events int
	}{
		{"before its answer", func(c *ssetest.Conn) { c.Hold() }, 0},
		{"after the head", func(c *ssetest.Conn) { c.Begin(); c.Hold() }, 0},
		{"after an event", ssetest.Silent("id: 1\ndata: a\n\n"), 1},
		{"inside an event", ssetest.Silent("id: 1\ndata: a"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := ssetest.New(t, tt.script)
			begin := time.Now()
			got, err := read(t, Request{URL: s.URL, Idle: 200 * time.Millisecond})
			if !errors.Is(err, ErrIdle) || len(got) != tt.events {
				t.Errorf("%d events, %v", len(got), err)
			}
			if d := time.Since(begin); d < 200*time.Millisecond || d > 5*time.Second {
				t.Errorf("noticed after %v", d)
			}
		})
	}
}

func TestASlowReceiverIsNoSilentPeer(t *testing.T) {
	s := ssetest.New(t, ssetest.Play(strings.Repeat("id: 1\ndata: a\n\n", 5)))
	n := 0
	err := Stream(t.Context(), Request{URL: s.URL, Idle: 50 * time.Millisecond}, func(Event) error {
		n++
		time.Sleep(120 * time.Millisecond) // the slow receiver itself
		return nil
	})
	if n != 5 || err != io.EOF {
		t.Errorf("%d events, %v", n, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestStreamEndsWithTheReceiversError(t *testing.T) {
	s := ssetest.New(t, func(c *ssetest.Conn) { c.Send(strings.Repeat("id: 1\ndata: a\n\n", 1000)); c.Hold() })
	stop := errors.New("stop")
	n := 0
	err := Stream(t.Context(), Request{URL: s.URL}, func(Event) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3 {
		t.Errorf("%d events, %v", n, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestStreamEndsWithItsContext(t *testing.T) {
	for _, script := range map[string]ssetest.Script{"reading": ssetest.Silent("id: 1\ndata: a\n\n"), "waiting": func(c *ssetest.Conn) { c.Hold() }} {
		s := ssetest.New(t, script)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("shutdown")
		time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
		if err := Stream(ctx, Request{URL: s.URL}, func(Event) error { return nil }); err != why {
			t.Errorf("got %v", err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestABurstOfAHundredThousandEventsAfterALargeOneIsReadInOrder(t *testing.T) {
	const n = 100_000
	data := strings.Repeat("y", 300)
	s := ssetest.New(t, func(c *ssetest.Conn) {
		c.Send("id: 0\ndata: " + strings.Repeat("x", 40<<20) + "\n\n")
		var b strings.Builder
		for i := 1; i <= n; i++ {
			fmt.Fprintf(&b, "id: %d\nevent: create\ndata: %s\n\n", i, data)
			if b.Len() > 1<<20 {
				c.Send(b.String())
				b.Reset()
			}
		}
		c.Send(b.String())
	})
	begin, next := time.Now(), 0
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	err := Stream(t.Context(), Request{URL: s.URL, Client: &http.Client{Transport: tr}}, func(e Event) error {
		if e.ID != fmt.Sprint(next) {
			return fmt.Errorf("event %q, want %d", e.ID, next)
		}
		next++
		return nil
	})
	if err != io.EOF || next != n+1 {
		t.Fatalf("%d events, %v", next, err)
	}
	t.Logf("%d events in %v", next, time.Since(begin))
}

func TestACancelledStreamLeavesNothingBehind(t *testing.T) {
	s := ssetest.New(t, func(c *ssetest.Conn) {
		for c.Request.Context().Err() == nil {
			c.Send(strings.Repeat("id: 1\ndata: a\n\n", 100))
		}
	})
	tr := &http.Transport{}
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := Stream(ctx, Request{URL: s.URL, Client: &http.Client{Transport: tr}, Idle: time.Second}, func(Event) error {
			if n++; n == 10 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	tr.CloseIdleConnections() // goleak looks at the end of the package
}
