package httpx

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// TooLargeError says that a response went on after the limit.
type TooLargeError struct {
	URL     string
	Limit   int64
	Decoded bool // the limit after decompression
}

func (e *TooLargeError) Error() string {
	if e.Decoded {
		return fmt.Sprintf("%s: more than %d bytes, or more than %d times its size, after decompression", e.URL, e.Limit, bombRatio)
	}
	return fmt.Sprintf("%s: more than %d bytes", e.URL, e.Limit)
}

// JSON shrinks about fortyfold at most; what shrinks more than this is a bomb, and need not be read up to the limit.
const (
	bombRatio = 300
	bombGrace = 64 << 20
)

// ErrIdle says that a peer accepted the request and then fell silent.
var ErrIdle = errors.New("the peer went silent")

// limiter bounds a response: bytes, decompressed bytes, and time without a byte. Event streams have no size limit.
type limiter struct {
	next http.RoundTripper
	o    Options
}

func (l *limiter) CloseIdleConnections() { closeIdle(l.next) }

func (l *limiter) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	req = req.Clone(ctx)
	decode := req.Method != http.MethodHead && req.Header.Get("Accept-Encoding") == "" && req.Header.Get("Range") == "" &&
		!strings.Contains(req.Header.Get("Accept"), "text/event-stream")
	if decode {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	var watch *time.Timer
	if l.o.Idle > 0 {
		watch = time.AfterFunc(l.o.Idle, func() { cancel(ErrIdle) })
	}
	resp, err := l.next.RoundTrip(req)
	if watch != nil {
		watch.Stop()
	}
	if err != nil {
		err = silence(ctx, err)
		cancel(nil)
		return nil, err
	}
	b := &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, watch: watch, idle: l.o.Idle}
	stream := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	if l.o.MaxBody > 0 && !stream {
		if resp.ContentLength > l.o.MaxBody {
			_ = b.Close()
			return nil, &TooLargeError{URL: Redact(req.URL.String()), Limit: l.o.MaxBody}
		}
		b.max, b.tooLarge = l.o.MaxBody, &TooLargeError{URL: Redact(req.URL.String()), Limit: l.o.MaxBody}
	}
	resp.Body = b
	if decode && strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		z := &gunzip{wire: b}
		if l.o.MaxDecoded > 0 && !stream {
			z.max, z.tooLarge = l.o.MaxDecoded, &TooLargeError{URL: Redact(req.URL.String()), Limit: l.o.MaxDecoded, Decoded: true}
		}
		resp.Body, resp.ContentLength, resp.Uncompressed = z, -1, true
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
	}
	return resp, nil
}

// silence names the watch as the cause when it was.
func silence(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ErrIdle) {
		return ErrIdle
	}
	return err
}

// body counts and watches what comes over the wire. The watch runs only inside Read: a slow reader is no silent peer.
type body struct {
	io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	watch    *time.Timer
	idle     time.Duration
	max, n   int64
	tooLarge error
}

func (b *body) Read(p []byte) (int, error) {
	if b.watch != nil {
		b.watch.Reset(b.idle)
		defer b.watch.Stop()
	}
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if b.max > 0 && b.n > b.max {
		return n, b.tooLarge
	}
	if err != nil && err != io.EOF {
		err = silence(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	if b.watch != nil {
		b.watch.Stop()
	}
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// gunzip decodes while it counts; it opens at the first Read because a head without a body has no gzip header either.
type gunzip struct {
	wire     *body
	z        *gzip.Reader
	max, n   int64
	tooLarge error
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.z == nil {
		z, err := gzip.NewReader(g.wire)
		if err != nil {
			return 0, err // io.EOF: an empty body
		}
		g.z = z
	}
	n, err := g.z.Read(p)
	g.n += int64(n)
	if g.max > 0 && (g.n > g.max || g.n > bombGrace && g.n > bombRatio*g.wire.n) {
		return n, g.tooLarge
	}
	return n, err
}

func (g *gunzip) Close() error { return g.wire.Close() }
