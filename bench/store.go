package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/consumers"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/producers"
)

// quiet shows errors only: one would spoil a figure, and nobody should wonder why.
var quiet = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))

// configure makes a configuration from a text, as the command line does from a file.
func (b *bench) configure(dir, text string) (*config.Loaded, error) {
	text = fmt.Sprintf("nats: { dir: %q, listen: 127.0.0.1:0, max_bytes: 64GiB, max_objects: 20000000 }\n%s", dir, text)
	p := config.Plugins{Producers: producers.All(), Sinks: append(consumers.Sinks(), idler), Enrichers: consumers.Enrichers()}
	return config.Parse("bench.yaml", []byte(text), nil, p)
}

// attach opens an event log in dir for an import, and makes it when it is not there.
func (b *bench) attach(ctx context.Context, dir string) (*engine.Attached, error) {
	cfg, err := b.configure(dir, "")
	if err != nil {
		return nil, err
	}
	return engine.Attach(ctx, cfg, engine.Options{Version: "bench", Log: quiet}, true)
}

// bare opens an empty event log in a new directory with the same server options and the same streams as ours, and calls f with it.
func (b *bench) bare(ctx context.Context, f func(*broker.Broker) error) error {
	dir := b.newDir()
	defer os.RemoveAll(dir)
	a, err := b.attach(ctx, dir)
	if err != nil {
		return err
	}
	err = f(a.Broker())
	if cerr := a.Detach(); err == nil {
		err = cerr
	}
	return err
}

// stream names, for bare clients.
const (
	events = eventlog.StreamEvents
	latest = eventlog.StreamLatest
)

// profiled runs f under the CPU profiler, if one is wanted.
func (b *bench) profiled(name string, f func() error) error {
	if b.profile == "" {
		return f()
	}
	out, err := os.Create(filepath.Join(b.profile, name+".pprof"))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}
