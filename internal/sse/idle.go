package sse

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrIdle says that the peer was silent for longer than the idle limit.
var ErrIdle = errors.New("no data from the server within the idle limit")

// idle ends a connection on which nothing comes. It runs only while somebody waits for the peer, so that a slow receiver is
// not taken for a silent peer.
type idle struct {
	d time.Duration
	t *time.Timer
}

func newIdle(d time.Duration, cancel context.CancelCauseFunc) *idle {
	if d <= 0 {
		return &idle{}
	}
	i := &idle{d: d, t: time.AfterFunc(d, func() { cancel(ErrIdle) })}
	i.t.Stop()
	return i
}

func (i *idle) start() {
	if i.t != nil {
		i.t.Reset(i.d)
	}
}

func (i *idle) pause() {
	if i.t != nil {
		i.t.Stop()
	}
}

func (i *idle) stop() { i.pause() }

type idleBody struct {
	io.ReadCloser
	idle *idle
}

func (b *idleBody) Read(p []byte) (int, error) {
	b.idle.start()
	n, err := b.ReadCloser.Read(p)
	b.idle.pause()
	return n, err
}
