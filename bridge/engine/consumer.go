package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/internal/intake"
	"github.com/stixbridge/stixbridge/stix"
)

// consumer runs one configured sink or enricher.
type consumer struct {
	e    *Engine
	cfg  config.Consumer
	log  *slog.Logger
	gate *gate.Gate
	now  atomic.Pointer[delivery.Runner] // a new one after each loss of the lead

	lease   atomic.Pointer[eventlog.Lease] // of the lead
	skipped skipped
	deletes *onDelete // nil: the sink's own way

	mu      sync.Mutex
	in      *intake.Intake // of an enricher
	standby error
	leading bool
}

func (e *Engine) newConsumer(ctx context.Context, c config.Consumer) (*consumer, error) {
	k := &consumer{e: e, cfg: c, log: e.log.With("consumer", c.Name)}
	marks, err := e.markings(ctx)
	if err != nil {
		return nil, err
	}
	opt := gate.Options{Markings: marks}
	if c.Where != "" {
		opt.Where, opt.Fickle, err = gate.Expression(c.Where, k.author)
		if err != nil {
			return nil, fmt.Errorf("consumer %s: where: %w", c.Name, err)
		}
	}
	if k.gate, err = gate.Compile(c.ConsumerConfig, c.Traits, opt); err != nil {
		return nil, fmt.Errorf("consumer %s: %w", c.Name, err)
	}
	if err := k.renew(); err != nil {
		return nil, err
	}
	if err := e.adopt(ctx, c.Name, c.Kind, "consumer"); err != nil {
		return nil, err
	}
	if err := k.runner().Prepare(ctx); err != nil {
		return nil, fmt.Errorf("consumer %s: position: %w", c.Name, err)
	}
	return k, nil
}

func (k *consumer) config() delivery.Config {
	c, e := k.cfg, k.e
	sink, role := c.Sink, "sink"
	if c.Enricher != nil {
		sink, role = delivery.Enrich(c.Name, c.Enricher, k.publish), "enricher"
	}
	if c.Sink != nil && c.Kind != "opencti" && (c.OnDelete == "ignore" || c.OnDelete == "revoke") { // opencti has forms of its own for each
		k.deletes = &onDelete{inner: c.Sink, revoke: c.OnDelete == "revoke"}
		sink = k.deletes
	}
	if c.Sink != nil {
		sink = leased{sink, func() bool { l := k.lease.Load(); return l == nil || l.Fresh() }}
	}
	start, at := c.Start, time.Time{}
	if !c.StartAt.IsZero() {
		start, at = delivery.StartTime, c.StartAt
	}
	return delivery.Config{
		Name: c.Name, Kind: c.Kind, Role: role, Sink: sink, Traits: c.Traits, Gate: k.gate, Env: k.env(),
		Log: logPort{e.store.Log, c.Name, &k.skipped}, Latest: latestPort{e.store, c.Name, newLookups(e.store.Latest)},
		Positions: &positions{state: e.store.State, consumer: c.Name, partitions: e.store.Log.Partitions(), owner: instance},
		Letters:   letters{e.store}, Orders: orders{e.store.State, c.Name},
		Start: start, StartTime: at, SeqAt: e.store.Log.SeqAt, Prefer: c.Prefer, Partitions: e.store.Log.Partitions(),
		Concurrency: c.Concurrency, Timeout: time.Duration(c.Timeout), Batch: bridge.Limits{Events: c.Batch, Bytes: c.Traits.Batch.Bytes},
		ReplayRate: c.ReplayRate, Match: matcher, Logger: e.log, Observe: func(call delivery.Call) { e.metrics.call(c.Name, call) },
	}
}

// author resolves a reference of the where gate, within the consumer's ceiling.
func (k *consumer) author(ref string) (stix.Object, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	o, ok, err := k.lookup(ctx, ref, "")
	return o, ok && err == nil
}

// env is what the plugin is lent.
func (k *consumer) env() bridge.Env {
	e, name := k.e, k.cfg.Name
	dir := filepath.Join(e.cfg.Config.NATS.Dir, "plugins", name)
	_ = os.MkdirAll(dir, 0o700) // the plugin finds out when it needs it
	key := func(s string) string { return "plugin." + name + "." + s }
	return bridge.Env{
		Name: name, HTTP: e.http.of(name), Dir: dir, Log: k.log, Lookup: k.lookup,
		Load: func(ctx context.Context, s string) ([]byte, error) {
			var v []byte
			_, err := e.store.State.Get(ctx, key(s), &v)
			return v, err
		},
		Store: func(ctx context.Context, s string, v []byte) error {
			_, err := e.store.State.Put(ctx, key(s), v)
			return err
		},
		DeadLetter: func(ctx context.Context, ev bridge.Event, reason string) error {
			return keepLetter(ctx, e.store, delivery.Letter{Consumer: name, Event: ev, Reason: eventlog.ClassTarget, Error: reason, Attempts: ev.Attempt, Time: time.Now()})
		},
	}
}

// lookup returns what a producer (empty: the preferred one) asserts about an id, within the ceiling.
func (k *consumer) lookup(ctx context.Context, id, producer string) (stix.Object, bool, error) {
	return k.runner().Lookup(ctx, id, producer)
}

// runner is the present one.
func (k *consumer) runner() *delivery.Runner { return k.now.Load() }

func (k *consumer) renew() error {
	r, err := delivery.New(k.config())
	if err == nil {
		k.now.Store(r)
	}
	return err
}

// run leads until ctx ends; a second instance stands by until the first is gone, and who lost the lead stands by again. Any other
// error of the runner ends this consumer, and only this one; status shows it.
func (k *consumer) run(ctx context.Context) error {
	for {
		err := k.lead(ctx)
		if ctx.Err() != nil || !errors.Is(err, delivery.ErrFenced) {
			return err
		}
		k.log.Warn("lost the lead, stands by", "error", err)
		if err := k.renew(); err != nil {
			return err
		}
		if pause(ctx, time.Second) != nil {
			return nil
		}
	}
}

func (k *consumer) lead(ctx context.Context) error {
	l, err := eventlog.Acquire(ctx, k.e.store.State, "consumer."+k.cfg.Name, "run", false)
	if err != nil && ctx.Err() == nil { // held, or the server is away for the moment
		k.log.Info("standing by", "reason", err)
		k.setStandby(err)
		l, err = eventlog.Acquire(ctx, k.e.store.State, "consumer."+k.cfg.Name, "run", true)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	k.setStandby(nil)
	k.lease.Store(l)
	defer l.Release()
	if rev, err := k.e.store.State.Get(ctx, "paused."+k.cfg.Name, &paused{}); err == nil && rev > 0 {
		k.runner().Pause()
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-l.Lost():
			stop(fmt.Errorf("%w: %w", delivery.ErrFenced, l.Err()))
		case <-ctx.Done():
		}
	}()
	if k.cfg.Enricher != nil {
		return k.e.as(ctx, k.cfg.Name, "run", true, func(in *intake.Intake) error {
			k.setIntake(in)
			defer k.setIntake(nil)
			return k.runner().Run(ctx)
		})
	}
	return k.runner().Run(ctx)
}

func (k *consumer) setIntake(in *intake.Intake) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.in = in
}

func (k *consumer) setStandby(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.standby, k.leading = err, err == nil
}

// publish makes what an enricher answered durable, under the enricher's name.
func (k *consumer) publish(ctx context.Context, from bridge.Event, objs []stix.Object) error {
	k.mu.Lock()
	in := k.in
	k.mu.Unlock()
	if in == nil {
		return errors.New("enricher is not started")
	}
	var changes []bridge.Change
	same := false
	for _, o := range objs {
		same = same || o.ID() == from.Object.ID()
		changes = append(changes, bridge.Change{Object: o, AtLeast: &from.TLP, Context: bridge.Context{
			Origin: from.Context.Origin, Backfill: from.Context.Backfill, Hops: append(slices.Clone(from.Context.Hops), k.cfg.Name),
		}})
	}
	if !same { // what it said about the object before no longer holds; silent when it never said anything
		changes = append(changes, bridge.Change{Op: bridge.Delete, Object: stix.Stub(from.Object.Type(), from.Object.ID())})
	}
	return put(ctx, in, changes)
}

func (k *consumer) close() {
	if c, ok := k.cfg.Enricher.(interface{ Close() error }); ok {
		_ = c.Close()
	}
}
