package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// Options of a move from the embedded server of a directory to another server or cluster.
type Options struct {
	Dir      string         // nats.dir
	Target   broker.Options // where to; its Replicas are the copies of each stream there
	MaxBytes int64          // limit of the event log there
	All      bool           // compare every message, not samples
	Say      func(string)   // what happens, line by line
	Log      *slog.Logger
}

// Report says what was moved.
type Report struct {
	To      string        `json:"to"`
	Streams []Moved       `json:"streams"`
	Stopped time.Duration `json:"stopped"` // while no bridge could run, in ns
	Already bool          `json:"already"` // an earlier move had done it
}

// Moved is a stream that was moved.
type Moved struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	LastSeq  uint64 `json:"last_seq"`
	Before   uint64 `json:"before"` // messages that were copied while the bridge ran
}

// lockName keeps two moves of one directory apart.
const lockName = "MIGRATE"

// mover is one move.
type mover struct {
	opt     Options
	id      string // of the source, the same in every attempt
	source  *broker.Broker
	target  *broker.Broker
	servers []*nats.Conn // one to each server of the target that was named
	closers []func()

	before map[string]uint64 // streams that were copied while the bridge ran, and up to where
	counts map[string]uint64
}

// Move copies what a running bridge has written so far, waits until the bridge was stopped, copies the rest, compares, and marks the old
// store as moved. It may be interrupted and run again at any time: until its end the target refuses to run, from then on the source does.
func Move(ctx context.Context, opt Options) (r Report, err error) {
	m := &mover{opt: opt, before: map[string]uint64{}, counts: map[string]uint64{}}
	defer func() {
		for _, c := range slices.Backward(m.closers) {
			c()
		}
	}()
	if _, err := os.Stat(filepath.Join(opt.Dir, "jetstream")); err != nil {
		return r, fmt.Errorf("there is no event log in %s: %w", opt.Dir, err)
	}
	unlock, err := broker.Lock(opt.Dir, lockName)
	if err != nil {
		return r, fmt.Errorf("another move is under way: %w", err)
	}
	m.closers = append(m.closers, unlock)
	if err := m.openTarget(ctx); err != nil {
		return r, err
	}
	r.To = m.target.URL()
	if to, id, err := broker.Moved(opt.Dir); err != nil || to != "" {
		if err == nil {
			err = m.resume(ctx, to, id)
		}
		r.Already = true
		return r, err
	}
	if err := m.copy(ctx, &r); err != nil {
		// What lies in the target is marked as incomplete; the next attempt removes it, too.
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if m.id != "" && !errors.Is(err, errTaken) {
			_ = m.clear(tidy)
		}
		return r, err
	}
	if err := broker.MarkMoved(opt.Dir, m.target.URL(), m.id); err != nil {
		return r, fmt.Errorf("mark the old store as moved: %w; run migrate again", err)
	}
	return r, release(ctx, m.target.JS())
}

// copy does all that can be undone.
func (m *mover) copy(ctx context.Context, r *Report) error {
	running, err := m.openSource(ctx)
	if err != nil {
		return err
	}
	if err := m.clear(ctx); err != nil {
		return err
	}
	if running {
		if err := m.ahead(ctx); err != nil {
			return err
		}
	}
	begun := time.Now()
	names, err := assets(ctx, m.source.JS())
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := m.bring(ctx, name)
		if err != nil {
			return err
		}
		r.Streams = append(r.Streams, Moved{Name: name, Messages: info.State.Msgs, Bytes: info.State.Bytes, LastSeq: info.State.LastSeq, Before: m.counts[name]})
	}
	r.Stopped = time.Since(begun)
	return nil
}

// ahead copies event log and latest objects while the bridge runs, and waits until it has been stopped.
func (m *mover) ahead(ctx context.Context) error {
	begun := time.Now()
	if m.target.Replicas() > 1 { // what came later is brought by a mirror, and to start that takes a change of its leader
		for _, name := range []string{eventlog.StreamEvents, eventlog.StreamLatest} {
			if err := m.bulk(ctx, name); err != nil {
				if ctx.Err() != nil || fatal(err) {
					return err
				}
				m.say("%v; it is copied when the bridge has been stopped", err)
				if err := m.drop(ctx, name); err != nil {
					return err
				}
			}
		}
	}
	m.say("copied %d events and %d latest objects in %v while the bridge runs", m.counts[eventlog.StreamEvents], m.counts[eventlog.StreamLatest], time.Since(begun).Round(100*time.Millisecond))
	m.say("stop the bridge now; the rest is copied as soon as it has ended")
	_ = m.source.Close()
	for said := time.Now(); ; {
		err := m.embedded(ctx)
		if !errors.Is(err, broker.ErrInUse) {
			if err == nil {
				m.say("the bridge has ended; copying the rest")
			}
			return err
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			m.say("waiting for the bridge to be stopped: %v", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// openSource opens the store, or connects to the bridge that has it open.
func (m *mover) openSource(ctx context.Context) (running bool, err error) {
	for begun := time.Now(); ; {
		if err = m.embedded(ctx); errors.Is(err, broker.ErrInUse) {
			running = true
			err = m.connected(ctx)
		}
		if err == nil || ctx.Err() != nil || !running || time.Since(begun) > 10*time.Second { // one that is just starting serves in a moment
			break
		}
		running = false
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return running, err
	}
	s, err := m.source.JS().Stream(ctx, eventlog.StreamEvents)
	if err != nil {
		return running, fmt.Errorf("event log in %s: %w", m.opt.Dir, err)
	}
	m.id = strconv.FormatInt(s.CachedInfo().Created.UnixNano(), 36)
	if _, err := eventlog.Open(ctx, m.source.Conn(), m.source.JS()); err != nil {
		return running, err
	}
	if have := int64(s.CachedInfo().State.Bytes); m.opt.MaxBytes > 0 && have > m.opt.MaxBytes {
		return running, fmt.Errorf("the event log holds %d bytes, more than the %d it may have there; set nats.max_bytes", have, m.opt.MaxBytes)
	}
	return running, nil
}

func (m *mover) embedded(ctx context.Context) error {
	return m.open(ctx, alone(m.opt.Dir, m.opt.Log))
}

func (m *mover) connected(ctx context.Context) error {
	return m.open(ctx, through(m.opt.Dir, m.opt.Log))
}

func (m *mover) open(ctx context.Context, o broker.Options) error {
	b, err := broker.Open(ctx, o)
	if err != nil {
		return err
	}
	m.source = b
	m.closers = append(m.closers, func() { _ = b.Close() })
	return nil
}

// assets lists the streams of a store: what the log refers to first, the log last.
func assets(ctx context.Context, js jetstream.JetStream) ([]string, error) {
	var names []string
	l := js.StreamNames(ctx)
	for n := range l.Name() {
		if belongs(n) {
			names = append(names, n)
		}
	}
	if err := l.Err(); err != nil {
		return nil, fmt.Errorf("list of streams: %w", err)
	}
	slices.Sort(names)
	if i := slices.Index(names, eventlog.StreamEvents); i >= 0 {
		names = append(slices.Delete(names, i, i+1), eventlog.StreamEvents)
	}
	return names, nil
}

const blobs = "OBJ_stix_blobs_"

func belongs(name string) bool {
	switch name {
	case eventlog.StreamEvents, eventlog.StreamLatest, eventlog.StreamLetters, "KV_" + eventlog.BucketState:
		return true
	}
	return strings.HasPrefix(name, blobs)
}

func (m *mover) say(format string, args ...any) {
	if m.opt.Say != nil {
		m.opt.Say(fmt.Sprintf(format, args...))
	}
}
