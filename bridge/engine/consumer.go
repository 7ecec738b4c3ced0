package engine

import (
	"context"
	"encoding/json"
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
	"github.com/stixbridge/stixbridge/internal/group"
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

	sink    bridge.Sink
	role    string
	lease   atomic.Pointer[eventlog.Lease] // of the membership
	late    atomic.Uint64                  // calls that came back when the lease was over
	skipped skipped
	deletes *onDelete // nil: the sink's own way

	mu      sync.Mutex
	in      *intake.Intake // of an enricher
	share   []int          // the partitions that are ours now
	standby error
	failed  error // why this process could not be a member
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
	k.target()
	if err := k.renew(nil); err != nil {
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

// target makes what the runners deliver to.
func (k *consumer) target() {
	c := k.cfg
	k.sink, k.role = c.Sink, "sink"
	if c.Enricher != nil {
		k.sink, k.role = delivery.Enrich(c.Name, c.Enricher, k.publish), "enricher"
	}
	if c.Sink != nil && c.Kind != "opencti" && (c.OnDelete == "ignore" || c.OnDelete == "revoke") { // opencti has forms of its own for each
		k.deletes = &onDelete{inner: c.Sink, revoke: c.OnDelete == "revoke"}
		k.sink = k.deletes
	}
	if c.Sink != nil {
		k.sink = leased{k.sink, k.lease.Load, &k.late}
	}
}

// single reports whether one process must have the whole consumer: a file has one writer, an enricher publishes under one name, and a
// consumer that starts from latest has one pass over the latest objects.
func (k *consumer) single(phase []byte) bool {
	var p delivery.Phase
	_ = json.Unmarshal(phase, &p)
	return k.cfg.Enricher != nil || k.cfg.Traits.Ordered || p.Snapshot
}

func (k *consumer) orders() orders {
	return orders{k.e.store.State, k.cfg.Name, k.e.store.Log.Partitions()}
}

func (k *consumer) config(share []int) delivery.Config {
	c, e := k.cfg, k.e
	start, at := c.Start, time.Time{}
	if !c.StartAt.IsZero() {
		start, at = delivery.StartTime, c.StartAt
	}
	return delivery.Config{
		Name: c.Name, Kind: c.Kind, Role: k.role, Sink: k.sink, Traits: c.Traits, Gate: k.gate, Env: k.env(),
		Log: logPort{e.store.Log, c.Name, &k.skipped}, Latest: latestPort{e.store, c.Name, newLookups(e.store.Latest)},
		Positions: &positions{state: e.store.State, consumer: c.Name, partitions: e.store.Log.Partitions(), share: share, owner: instance},
		Letters:   letters{e.store}, Orders: k.orders(), Share: share,
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

// renew makes the next runner, of a share.
func (k *consumer) renew(share []int) error {
	r, err := delivery.New(k.config(share))
	if err != nil {
		return err
	}
	if old := k.runner(); old != nil {
		r.After(old)
	}
	k.now.Store(r)
	return nil
}

// run is a member of the consumer's group until ctx ends: it delivers its share. Who was expelled, or could not write to the event log, joins
// again; status says why it does not deliver. Only an error that no retry mends ends the consumer, and no other.
func (k *consumer) run(ctx context.Context) error {
	g := &group.Group{
		State: k.e.store.State, Consumer: k.cfg.Name, Partitions: k.e.store.Log.Partitions(), Alone: k.e.b.Embedded(), Log: k.e.log,
		Single: k.single, Work: k.work,
		Idle: func(owners string) {
			err := fmt.Errorf("its partitions are with %s", owners)
			k.log.Info("standing by", "reason", err)
			k.setShare(nil, err)
		},
	}
	for {
		err := g.Run(ctx)
		k.setShare(nil, nil)
		switch {
		case ctx.Err() != nil && (errors.Is(err, delivery.ErrFenced) || errors.Is(err, group.ErrExpelled) || transient(err)):
			k.log.Warn("the last position is not saved: what came after it is delivered again", "error", err)
			return nil
		case ctx.Err() != nil, errors.Is(err, delivery.ErrFinal):
			return err
		case errors.Is(err, delivery.ErrFenced), errors.Is(err, group.ErrExpelled):
			k.log.Warn("lost its partitions, joins again", "error", err)
		default:
			k.fail(err)
			k.log.Error("cannot deliver, tries again", "error", err)
		}
		if pause(ctx, time.Second) != nil {
			return nil
		}
	}
}

// work delivers the events of a share until ctx ends.
func (k *consumer) work(ctx context.Context, share []int, l *eventlog.Lease) error {
	if err := k.renew(share); err != nil {
		return err
	}
	k.lease.Store(l)
	k.setShare(share, nil)
	if rev, err := k.e.store.State.Get(ctx, "paused."+k.cfg.Name, &paused{}); err == nil && rev > 0 {
		k.runner().Pause()
	}
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	go func() {
		select {
		case <-l.Lost():
			stop(fmt.Errorf("%w: %w", delivery.ErrFenced, l.Err()))
		case <-ctx.Done():
			stop(nil)
		case <-running.Done():
		}
	}()
	if k.cfg.Enricher != nil {
		return k.e.as(running, k.cfg.Name, "run", true, func(in *intake.Intake) error {
			k.setIntake(in)
			defer k.setIntake(nil)
			return k.runner().Run(running)
		})
	}
	return k.runner().Run(running)
}

// owns waits until this process may deliver events of an object; ErrUnknown when another one does.
func (k *consumer) owns(ctx context.Context, id string) error {
	for begun := time.Now(); !k.runner().Owns(id); {
		k.mu.Lock()
		elsewhere := k.standby != nil
		k.mu.Unlock()
		if elsewhere || time.Since(begun) > 2*time.Second {
			return fmt.Errorf("%w: another process delivers %s to %s", ErrUnknown, id, k.cfg.Name)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (k *consumer) setIntake(in *intake.Intake) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.in = in
}

func (k *consumer) setShare(share []int, standby error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.share, k.standby = share, standby
	if share != nil || standby != nil {
		k.failed = nil
	}
}

// fail notes why this process cannot be a member of the group now.
func (k *consumer) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed = err
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
