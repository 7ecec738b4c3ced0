package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/config"
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
		err := b.delivering(ctx, "file", dir, fmt.Sprintf("{ kind: file, name: archive-%d, was: none, path: %q, start: all }", i, path), config.Plugins{}, &ours)
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
	b.compare("log → file", "a bare reader", c.objects, ours, bare, 0.5)
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
	dir := b.newDir()
	a, err := b.attach(ctx, dir)
	if err != nil {
		return "", err
	}
	_, err = b.imported(ctx, a, c, "", "create")
	if cerr := a.Detach(); err == nil {
		err = cerr
	}
	b.full = dir
	return dir, err
}

// delivering runs the bridge on a store with one consumer until that has dealt with everything, its position durable, and notes the
// time: from the start of the run to its end, and so with the lease, the start of the sink and the last save.
func (b *bench) delivering(ctx context.Context, profile, dir, consumer string, more config.Plugins, into *side) error {
	cfg, err := b.configure(dir, "consumers: [ "+consumer+" ]\n", more)
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, cfg, engine.Options{Version: "bench", Once: true, Log: quiet})
	if err != nil {
		return err
	}
	err = b.profiled(profile, func() error {
		t, err := clock(func() error { return e.Run(ctx) })
		*into = append(*into, t)
		return err
	})
	if cerr := e.Close(); err == nil {
		err = cerr
	}
	return err
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
