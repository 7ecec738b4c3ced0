// Package migrate moves an event log from one server to another, and to files and back, with every sequence, time and header as it
// was: positions, checkpoints and references between events are sequences of the log. Publishing again would give new times, and new
// sequences where retention left gaps; so streams are restored, and a mirror inside the target brings what came in meanwhile.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Sizes of a transfer: one chunk fits every server's max_payload, a window hides the way there and back.
const (
	chunkSize  = 256 << 10
	windowSize = 4 << 20
)

// Restore makes a stream of an archive. The stream must not exist. It blocks until the server has all of it; copies on other servers may
// follow later (see settle). The server gives up when 5 s pass between reads.
func Restore(ctx context.Context, nc *nats.Conn, cfg jetstream.StreamConfig, state jetstream.StreamState, r io.Reader) (*jetstream.StreamInfo, error) {
	info, err := restore(ctx, nc, cfg, state, r)
	if err != nil {
		return nil, fmt.Errorf("restore stream %s: %w", cfg.Name, err)
	}
	return info, nil
}

// silence is after how long without a chunk the server gives a restore up; until then it refuses another one with codeRestoring.
const silence = 5 * time.Second

const codeRestoring = 10130

func restore(ctx context.Context, nc *nats.Conn, cfg jetstream.StreamConfig, state jetstream.StreamState, r io.Reader) (*jetstream.StreamInfo, error) {
	var begun struct {
		Subject string `json:"deliver_subject"`
	}
	for began := time.Now(); ; {
		err := call(ctx, nc, "$JS.API.STREAM.RESTORE."+cfg.Name, map[string]any{"config": cfg, "state": state}, &begun)
		if err == nil {
			break
		}
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != codeRestoring || time.Since(began) > 6*silence {
			return nil, err
		}
		if time.Since(began) > silence { // given up, but the cluster keeps the name, and lists no such stream
			_ = call(ctx, nc, "$JS.API.STREAM.DELETE."+cfg.Name, nil, nil)
		}
		select { // a restore that was killed
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(silence / 10):
		}
	}
	// The acknowledgement of a chunk is empty; anything else is the reason for an early end.
	inbox := nc.NewRespInbox() + "r"
	var mu sync.Mutex
	var refused error
	slots := make(chan struct{}, windowSize/chunkSize)
	sub, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		if len(m.Data) > 0 || m.Header.Get("Status") != "" {
			err := fmt.Errorf("the server broke off: %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
			if len(m.Data) > 0 {
				err = decode(m.Data, &struct{}{})
			}
			mu.Lock()
			refused = errors.Join(refused, err)
			mu.Unlock()
		}
		<-slots
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	broken := func() error { mu.Lock(); defer mu.Unlock(); return refused }
	take := func() error {
		limit, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		select {
		case slots <- struct{}{}:
			return broken()
		case <-limit.Done():
			return fmt.Errorf("no answer to a chunk: %w", limit.Err())
		}
	}
	chunk := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			if err := errors.Join(take(), nc.PublishRequest(begun.Subject, inbox, chunk[:n])); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, err // the server gives up after silence and keeps nothing
		}
	}
	for range cap(slots) { // all chunks have arrived
		if err := take(); err != nil {
			return nil, err
		}
	}
	m, err := nc.RequestWithContext(ctx, begun.Subject, nil) // blocks while the server recovers the stream
	if err != nil {
		return nil, err
	}
	var info jetstream.StreamInfo
	return &info, decode(m.Data, &info)
}
