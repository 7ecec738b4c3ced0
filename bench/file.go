package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge/engine"
)

// toFile compares the way from the log to a file sink, with gates, order, durable position and fsync, with a bare ordered consumer
// that reads the same log and throws it away.
func toFile(ctx context.Context, b *bench) error {
	c, err := b.corpus()
	if err != nil {
		return err
	}
	dir, err := b.filled(ctx)
	if err != nil {
		return err
	}
	var ours, bare side
	for i := range b.runs {
		path := filepath.Join(b.tmp, fmt.Sprintf("events-%d.jsonl", i))
		err := b.delivering(ctx, "file", dir, fmt.Sprintf("archive-%d", i), fmt.Sprintf("kind: file, path: %q", path), c.objects, &ours)
		if err == nil {
			err = lines(path, c.objects)
		}
		if err != nil {
			return err
		}
		_ = os.Remove(path)
		if err := b.reading(ctx, dir, c.objects, &bare); err != nil {
			return err
		}
	}
	b.versus(comparison{name: "log → file", against: "a bare reader", n: c.objects, ours: ours, bare: bare, least: 0.5, size: c.size})
	return nil
}

// filled is a store with the corpus in it, made once.
func (b *bench) filled(ctx context.Context) (string, error) {
	if b.full != "" {
		return b.full, nil
	}
	c, err := b.corpus()
	if err != nil {
		return "", err
	}
	b.full, err = b.fill(ctx, c)
	return b.full, err
}

// fill imports a corpus into a new store.
func (b *bench) fill(ctx context.Context, c *corpus) (dir string, err error) {
	dir = b.newDir()
	a, err := b.attach(ctx, dir)
	if err != nil {
		return "", err
	}
	_, err = b.imported(ctx, a, c, "import-untimed", "create")
	return dir, errors.Join(err, a.Detach())
}

// delivering runs the bridge on a store with one consumer, and notes how long that takes from the moment when it may begin until the
// target has confirmed the last event. It begins paused, so that the bridge's own start is not part of the figure; what its window
// holds by then was read before.
func (b *bench) delivering(ctx context.Context, profile, dir, name, consumer string, n int, into *side) error {
	return b.delivers(ctx, profile, dir, []string{name}, fmt.Sprintf("{ name: %s, was: none, start: all, %s }", name, consumer), n, into)
}

// delivers is delivering for several consumers, each of which has to deal with n events.
func (b *bench) delivers(ctx context.Context, profile, dir string, names []string, consumers string, n int, into *side) error {
	cfg, err := b.configure(dir, fmt.Sprintf("consumers: [ %s ]\n", consumers))
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, cfg, engine.Options{Version: "bench", Log: quiet})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	for _, name := range names {
		err = errors.Join(err, engine.Pause(ctx, e.Store(), name, "bench"))
	}
	go func() { ended <- e.Run(running) }()
	if err == nil {
		err = idle(ctx)
	}
	if err == nil {
		taken.Store(0)
		err = b.profiled(profile, func() error {
			s, err := clock(func() error {
				for _, name := range names {
					if err := engine.Resume(ctx, e.Store(), name); err != nil {
						return err
					}
				}
				return through(ctx, e, uint64(n), ended)
			})
			*into = append(*into, s)
			return err
		})
	}
	stop()
	return errors.Join(err, <-ended, e.Close())
}

// idle waits until this process has had next to nothing to do for half a second.
func idle(ctx context.Context) error {
	for calm := 0; calm < 5; calm++ {
		before := burnt()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if burnt()-before > 10*time.Millisecond {
			calm = -1
		}
	}
	return nil
}

// through waits until every consumer has dealt with n events.
func through(ctx context.Context, e *engine.Engine, n uint64, ended chan error) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	sum, since := uint64(0), time.Now()
	s, err := e.Status(ctx)
	if err != nil {
		return err
	}
	idlers := uint64(len(s.Consumers))
	for {
		select {
		case err := <-ended:
			ended <- nil
			return fmt.Errorf("the bridge ended before its time: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if now := uint64(taken.Load()); now > sum && now < n*idlers { // an idle sink says itself how far it is
			sum, since = now, time.Now()
			continue
		}
		s, err := e.Status(ctx)
		if err != nil {
			return err
		}
		done, now := true, uint64(0)
		for _, c := range s.Consumers {
			dealt := c.Delivered + c.Dead
			for _, held := range c.Held {
				dealt += held
			}
			done = done && dealt >= n
			now += dealt
		}
		if done {
			return nil
		}
		if now != sum {
			sum, since = now, time.Now()
		}
		if time.Since(since) > time.Minute {
			return fmt.Errorf("%d consumers have dealt with %d events of %d and go on no more: %+v", len(s.Consumers), now, n*uint64(len(s.Consumers)), s.Consumers)
		}
	}
}

// reading notes how long a bare reader takes over a store's log.
func (b *bench) reading(ctx context.Context, dir string, n int, into *side) error {
	a, err := b.attach(ctx, dir)
	if err != nil {
		return err
	}
	got := 0
	t, err := clock(func() error {
		return drain(ctx, a.Broker().JS(), events, nil, func(jetstream.Msg) { got++ })
	})
	*into = append(*into, t)
	if err == nil && got != n {
		err = fmt.Errorf("a bare reader read %d events of %d", got, n)
	}
	if cerr := a.Detach(); err == nil {
		err = cerr
	}
	return err
}

// lines checks that a file has as many lines.
func lines(path string, want int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	got := 0
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		got++
	}
	if s.Err() == nil && got != want {
		return fmt.Errorf("%d lines delivered of %d", got, want)
	}
	return s.Err()
}

// drain reads a stream from its beginning to its present end with an ordered consumer.
func drain(ctx context.Context, js jetstream.JetStream, stream string, filter []string, yield func(jetstream.Msg)) error {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: filter, DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	it, err := c.Messages()
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		m, err := it.Next()
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		yield(m)
		if meta.NumPending == 0 {
			return nil
		}
	}
}
