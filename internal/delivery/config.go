package delivery

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

// Config is what a runner is made of. Zero values mean the defaults named here.
type Config struct {
	Name   string
	Kind   string
	Role   string // sink (default) or enricher, for status
	Sink   bridge.Sink
	Traits bridge.Traits
	Gate   *gate.Gate
	Env    bridge.Env // lent to a sink that is a bridge.Starter

	Log       Log
	Latest    Latest // may be nil for a consumer that starts neither from latest nor mirrors state, and is never replayed
	Positions Positions
	Letters   Letters
	Orders    Orders // may be nil: replays then do not survive a restart

	Start       string    // new, all, latest or time; empty: the trait's, else new
	StartTime   time.Time // of start: time
	SeqAt       func(ctx context.Context, t time.Time) (uint64, error)
	Prefer      []string
	Partitions  int                                                         // 16
	Share       []int                                                       // those that this runner deals with; nil: all
	Concurrency int                                                         // 1; always 1 for an ordered target
	Timeout     time.Duration                                               // of one delivery: 60 s
	Batch       bridge.Limits                                               // the trait's, else 256 events and 4 MiB
	Window      bridge.Limits                                               // events read and not dealt with: 1024 and 32 MiB
	SaveEvery   time.Duration                                               // 500 ms
	Drain       time.Duration                                               // how long a delivery under way may go on after the end of Run's context: 10 s
	ReplayRate  int                                                         // events a second: 1000
	Match       func(spec json.RawMessage) (func(bridge.Event) bool, error) // the filter of a replay; nil: replays cannot be filtered
	Logger      *slog.Logger
	Observe     func(Call) // each call of the target; must not block
}

// Call is one delivery, for metrics.
type Call struct {
	Events int
	Failed int
	Took   time.Duration
	Err    error
}

func (c Config) withDefaults() Config {
	if c.Role == "" {
		c.Role = "sink"
	}
	if c.Start == "" {
		c.Start = c.Traits.Start
	}
	if c.Start == "" {
		c.Start = StartNew
	}
	c.Partitions = or(c.Partitions, 16)
	c.Concurrency = or(c.Concurrency, 1)
	if c.Traits.Ordered {
		c.Concurrency = 1
	}
	c.Timeout = or(c.Timeout, time.Minute)
	c.Batch.Events = or(or(c.Batch.Events, c.Traits.Batch.Events), 256)
	c.Batch.Bytes = or(or(c.Batch.Bytes, c.Traits.Batch.Bytes), 4<<20)
	c.Window.Events = max(or(c.Window.Events, 1024), c.Batch.Events)
	c.Window.Bytes = max(or(c.Window.Bytes, 32<<20), c.Batch.Bytes)
	c.SaveEvery = or(c.SaveEvery, 500*time.Millisecond)
	c.Drain = or(c.Drain, 10*time.Second)
	c.ReplayRate = or(c.ReplayRate, 1000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
