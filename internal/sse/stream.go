// Package sse reads one server-sent event stream over one connection. It never reconnects: what a lost connection means,
// when to try again and from which position is the caller's business.
//
// The framing is r3labs/sse behind two wrappers of ours. That library delivers an event that was cut in half as if it were
// whole and then counts its id as seen, retries on its own terms, and waits for ever on a silent peer; behind a guard that
// lets only whole events pass, an idle timer, and with its retries off, none of that can happen.
package sse

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	r3labs "github.com/r3labs/sse/v2"
	"gopkg.in/cenkalti/backoff.v1"
)

// DefaultMax is the largest event that is read when a Request does not say, in bytes.
const DefaultMax = 64 << 20

// Event is one whole event.
type Event struct {
	ID   string // its own id, or the last one before it on this connection; empty before the first
	Name string // the event field; empty means message
	Data []byte // data lines joined by line feeds; never empty; the receiver may keep it
}

// Request describes one connection.
type Request struct {
	URL         string
	Header      http.Header
	LastEventID string        // sent as Last-Event-ID when not empty
	Max         int           // largest event in bytes, from its first byte to its blank line; 0 means DefaultMax
	Idle        time.Duration // longest silence while we wait for the peer, before and after its answer; 0 means no limit
	Client      *http.Client  // nil means http.DefaultClient; its Timeout is ignored, since it would end every stream
}

// Stream opens the stream and calls yield for each whole event, in order and from one goroutine. It blocks until the
// connection is over and then always returns an error:
//
//	io.EOF                 the server closed the stream between two events
//	io.ErrUnexpectedEOF    the connection ended inside an event, which was dropped
//	*HTTPError             the answer was not 200 with an event stream
//	*EventTooLargeError    the next event is over Max; its id is known, so that the caller can pass it by
//	ErrIdle                nothing came for Idle
//	yield's own error      as returned
//	context.Cause(ctx)     ctx ended
//
// and otherwise what the network said. While yield blocks nothing is read, so that pressure reaches the server through TCP,
// and the idle limit stands still. At most one event that was read ahead is lost when yield returns an error.
func Stream(ctx context.Context, req Request, yield func(Event) error) error {
	maxEvent := req.Max
	if maxEvent <= 0 {
		maxEvent = DefaultMax
	}
	conn, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	client := http.Client{}
	if req.Client != nil {
		client = *req.Client
	}
	client.Timeout = 0
	body := &transport{next: client.Transport, max: maxEvent, idle: newIdle(req.Idle, cancel)}
	defer body.idle.stop()
	client.Transport = body

	var refused error
	c := r3labs.NewClient(req.URL, r3labs.ClientMaxBufferSize(maxEvent+64<<10))
	c.Connection = &client
	c.ReconnectStrategy = &backoff.StopBackOff{}
	c.ResponseValidator = func(_ *r3labs.Client, resp *http.Response) error {
		refused = validate(resp)
		return refused
	}
	for k, v := range req.Header {
		c.Headers[k] = strings.Join(v, ", ")
	}
	if req.LastEventID != "" {
		c.Headers["Last-Event-Id"] = req.LastEventID // not the client's own field: that would give an id to events without one
	}

	var stopped error
	err := c.SubscribeRawWithContext(conn, func(m *r3labs.Event) {
		if stopped != nil || len(m.Data) == 0 || conn.Err() != nil { // no data: a comment or an empty block
			return
		}
		if stopped = yield(Event{ID: string(m.ID), Name: string(m.Event), Data: m.Data}); stopped != nil {
			cancel(stopped)
		}
	})
	switch {
	case stopped != nil:
		return stopped
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(context.Cause(conn), ErrIdle):
		return ErrIdle
	case refused != nil:
		return refused
	case body.guard != nil && body.guard.err != nil:
		return body.guard.err
	case err != nil:
		return err
	}
	return io.EOF
}

// transport puts the wrappers around the body of a good answer.
type transport struct {
	next  http.RoundTripper
	max   int
	idle  *idle
	guard *wholeEvents
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	t.idle.start()
	resp, err := next.RoundTrip(r)
	t.idle.pause()
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	t.guard = &wholeEvents{src: &idleBody{ReadCloser: resp.Body, idle: t.idle}, max: t.max}
	resp.Body = t.guard
	return resp, nil
}
