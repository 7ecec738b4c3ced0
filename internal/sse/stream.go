// Package sse reads one server-sent event stream over one connection. It never reconnects: what a lost connection means,
// when to try again and from which position is the caller's business.
//
// A guard cuts the stream into whole events before anything looks into one, so that an event that was cut off is never taken
// for whole, nor its id for seen; an idle timer ends a connection on which nothing comes.
package sse

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
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
// and the idle limit stands still.
func Stream(ctx context.Context, req Request, yield func(Event) error) error {
	maxEvent := req.Max
	if maxEvent <= 0 {
		maxEvent = DefaultMax
	}
	conn, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := newIdle(req.Idle, cancel)
	defer silence.stop()
	err := follow(conn, req, maxEvent, silence, yield)
	var own *receivers
	switch {
	case errors.As(err, &own):
		return own.error
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(context.Cause(conn), ErrIdle):
		return ErrIdle
	}
	return err
}

// receivers is an error of the receiver, which wins over what the connection says.
type receivers struct{ error }

// follow plays one connection.
func follow(ctx context.Context, req Request, maxEvent int, silence *idle, yield func(Event) error) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, req.URL, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Cache-Control", "no-cache")
	for k, v := range req.Header {
		r.Header.Set(k, strings.Join(v, ", "))
	}
	if req.LastEventID != "" {
		r.Header.Set("Last-Event-Id", req.LastEventID)
	}
	client := http.Client{}
	if req.Client != nil {
		client = *req.Client
	}
	client.Timeout = 0
	silence.start()
	resp, err := client.Do(r)
	silence.pause()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	resp.Body = &idleBody{ReadCloser: resp.Body, idle: silence}
	if err := validate(resp); err != nil {
		return err
	}
	guard := &wholeEvents{src: resp.Body, max: maxEvent}
	var s blocks
	for {
		block, err := guard.block()
		if err != nil {
			return err
		}
		e, ok := s.event(block)
		if !ok { // a comment, or an empty block
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := yield(e); err != nil {
			return &receivers{err}
		}
	}
}
