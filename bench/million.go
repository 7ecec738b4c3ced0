package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/delivery"
)

// million fills a store with many distinct objects, one event each, and then looks at what a restart takes until everything is ready and in
// memory, at reading all of it by a sink that falls that far behind, and at a replay of all of it.
func million(ctx context.Context, b *bench) error {
	path := filepath.Join(b.tmp, "many.jsonl")
	if err := small(path, b.many); err != nil {
		return err
	}
	dir := b.newDir()
	defer os.RemoveAll(dir)
	a, err := b.attach(ctx, dir)
	if err != nil {
		return err
	}
	took, err := b.imported(ctx, a, &corpus{path: path, objects: b.many}, "million", "create")
	if err = errors.Join(err, a.Detach()); err != nil {
		return err
	}
	_ = os.Remove(path)
	what := fmt.Sprintf("%d small objects", b.many)
	per := func(d time.Duration) float64 { return float64(b.many) / d.Seconds() }
	b.add(result{Name: "import of " + what, Ours: per(took.wall), Unit: "objects/s", CPU: float64(took.cpu.Microseconds()) / float64(b.many), Runs: 1, Met: true})

	var restarts []float64
	var peak int64
	for range 3 {
		begun := time.Now()
		k, err := b.launch(ctx, dir, "", "consumers: [ { kind: file, name: later, was: none, path: \"/dev/null\", start: new } ]\n")
		if err != nil {
			return err
		}
		restarts = append(restarts, time.Since(begun).Seconds())
		time.Sleep(3 * time.Second) // what it reads at the start is in memory by then
		peak = max(peak, k.used().peak)
		k.close()
	}
	mid, _, most := quantiles(restarts)
	b.add(result{Name: "restart with " + what + ", until the log answers", Ours: mid, Unit: "s", Runs: len(restarts), Met: true,
		Note: fmt.Sprintf("at most %.1f s, %d MiB resident at most", most, peak>>20)})

	var all side
	if err := b.delivers(ctx, "backlog", dir, []string{"behind"}, "{ kind: bench-idle, name: behind, was: none, start: all }", b.many, &all); err != nil {
		return err
	}
	b.add(result{Name: "a backlog of " + what + " → an idle sink", Ours: per(all[0].wall), Unit: "events/s", CPU: float64(all[0].cpu.Microseconds()) / float64(b.many), Runs: 1, Met: true})
	return b.replay(ctx, dir, what)
}

// replay delivers everything again to a consumer that had everything.
func (b *bench) replay(ctx context.Context, dir, what string) error {
	cfg, err := b.configure(dir, "consumers: [ { kind: bench-idle, name: behind, start: all, replay_rate: 100000000 } ]\n")
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
	go func() { ended <- e.Run(running) }()
	err = idle(ctx)
	var s sample
	if err == nil {
		s, err = clock(func() error { return b.order(ctx, e) })
	}
	stop()
	if err = errors.Join(err, <-ended, e.Close()); err != nil {
		return err
	}
	b.add(result{Name: "replay of " + what, Ours: float64(b.many) / s.wall.Seconds(), Unit: "events/s", CPU: float64(s.cpu.Microseconds()) / float64(b.many), Runs: 1, Met: true})
	return nil
}

// order gives the order and waits until it is carried out.
func (b *bench) order(ctx context.Context, e *engine.Engine) error {
	o := delivery.Order{ID: "bench", From: 1, To: uint64(b.many), Rate: 100_000_000}
	if err := e.Replay(ctx, "behind", o); err != nil {
		return err
	}
	for {
		done, err := engine.ReplayDone(ctx, e.Store(), "behind", o.ID)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
