package main

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/stixbridge/stixbridge/bridge/engine"
)

// The Go runtime's soft memory limit where neither GOMEMLIMIT nor a container sets one: the file store's caches would grow without it. It
// follows the number of objects, whose index lives in memory: a fixed one would have the collector run all the time once they fill it.
const (
	bareLimit = 224 << 20 // bytes, without objects
	perObject = 640       // bytes for each distinct object: what one takes, and room to collect
)

// memory sets the limit; follows is whether it is ours to move.
type memory struct {
	follows bool
	log     *slog.Logger
}

// limitMemory sets the limit from the container's; what the environment says wins.
func limitMemory(log *slog.Logger) memory {
	if debug.SetMemoryLimit(-1) != 1<<63-1 {
		return memory{log: log} // GOMEMLIMIT is set
	}
	n, err := memlimit.Set(memlimit.WithRatio(0.8), memlimit.WithProvider(memlimit.FromCgroup))
	if err == nil && n > 0 && n <= 1<<40 {
		log.Debug("memory limit of the container", "bytes", n)
		return memory{log: log}
	}
	debug.SetMemoryLimit(bareLimit)
	return memory{follows: true, log: log}
}

// follow moves the limit with the number of objects until ctx ends.
func (m memory) follow(ctx context.Context, e *engine.Engine) {
	if !m.follows {
		return
	}
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		if i, err := e.Store().Latest.Info(ctx); err == nil {
			debug.SetMemoryLimit(bareLimit + perObject*int64(i.State.Msgs))
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
