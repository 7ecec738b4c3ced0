package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/stixbridge/stixbridge/bridge/engine"
)

// heap measures what a distinct object costs in memory while the bridge runs: the whole of it, with the server inside, the
// producer's intake open and a file sink that has everything.
func heap(ctx context.Context, b *bench) error {
	path := filepath.Join(b.tmp, "small.jsonl")
	if err := small(path, b.objects); err != nil {
		return err
	}
	dir := b.newDir()
	defer os.RemoveAll(dir)
	cfg, err := b.configure(dir, fmt.Sprintf("producers: [ { kind: stix, name: small, path: %q } ]\nconsumers: [ { kind: file, name: archive, path: %q, start: all } ]\n",
		path, filepath.Join(b.tmp, "small.out")))
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, cfg, engine.Options{Version: "bench", Log: quiet})
	if err != nil {
		return err
	}
	before := live()
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running) }()
	err = through(ctx, e, uint64(b.objects), ended)
	if err == nil {
		after := settled(ctx)
		each := float64(after-before) / float64(b.objects) / 1024
		b.add(result{Name: "live heap per distinct object", Ours: each, Unit: "KiB", Target: "≤ 0.5 KiB", Met: each <= 0.5})
	}
	stop()
	return errors.Join(err, <-ended, e.Close())
}

// live is the heap in use after a collection, in bytes.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// settled is live once the server has let go of the blocks that it caches for some seconds.
func settled(ctx context.Context) int64 {
	least := live()
	for range 5 {
		select {
		case <-ctx.Done():
			return least
		case <-time.After(3 * time.Second):
		}
		least = min(least, live())
	}
	return least
}

// small writes n small objects, all different.
func small(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range n {
		fmt.Fprintf(w, `{"type":"domain-name","spec_version":"2.1","id":"domain-name--%08x-5e39-5b48-9354-fe4a7084f%03x","value":"host-%d.example"}`+"\n", i, i%4096, i)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
