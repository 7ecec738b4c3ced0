// Package engine runs a configuration: it opens the event log, gives each consumer its position, then starts consumers and producers,
// the expiry clock and the orders of the command line, and ends them in the opposite order.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/internal/intake"
	"github.com/stixbridge/stixbridge/stix"
)

// Options of one run.
type Options struct {
	Version       string
	Only          []string // names of producers and consumers to run; empty: all
	Once          bool
	Timeout       time.Duration // of a consumer without success, with Once
	AcceptDeletes []string      // producers whose next complete read may delete more than max_delete
	AcceptRebuild bool
	AcceptClock   bool
	AcceptLoss    bool
	Log           *slog.Logger

	command bool // opened by Attach: look, even where run would refuse to start
}

// Engine is an opened event log with the parts that run on it.
type Engine struct {
	cfg   *config.Loaded
	opt   Options
	log   *slog.Logger
	b     *broker.Broker
	store *eventlog.Store
	http  *httpClients

	started   time.Time
	producers []*producer
	consumers []*consumer
	clock     *clock
	pressure  *pressure
	metrics   *metrics

	growth  rate  // of the event log
	guarded bool  // the log's end and the clock were found right
	refused error // what run would refuse to start with

	mu    sync.Mutex
	ready bool
}

// instance names this process in positions and status.
var instance = func() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().UnixNano()%1e6)
}()

// BrokerOptions are the options of the server that a configuration names.
func BrokerOptions(c bridge.Config, producers []string, log *slog.Logger) (broker.Options, error) {
	n := c.NATS
	o := broker.Options{
		Dir: n.Dir, Listen: n.Listen, Producers: producers, URL: n.URL, Context: n.Context, Creds: n.Creds, NKey: n.NKey,
		User: n.User, Password: n.Password.Reveal(), Token: n.Token.Reveal(), Replicas: n.Replicas, Log: log,
	}
	o.MaxStore = math.MaxInt64 / 4 // the streams' own limits count
	if n.TLS != (bridge.TLS{}) {
		t, err := httpx.LoadTLS(n.TLS.CA, n.TLS.Cert, n.TLS.Key, n.TLS.Insecure)
		if err != nil {
			return o, fmt.Errorf("nats.tls: %w", err)
		}
		o.TLS = t
	}
	return o, nil
}

// layout derives the streams' limits from the configuration.
func layout(c bridge.Config, b *broker.Broker, accept bool) eventlog.Layout {
	l := eventlog.Layout{
		Replicas: b.Replicas(), MaxBytes: int64(c.NATS.MaxBytes), MaxAge: time.Duration(c.NATS.MaxAge),
		MaxObjects: int64(c.NATS.MaxKeys), Partitions: c.NATS.Partitions, AcceptLoss: accept,
	}
	if l.MaxBytes == 0 && !b.Embedded() {
		l.MaxBytes = 10 << 30 // its disk is not ours to look at
	}
	if l.MaxBytes == 0 {
		l.MaxBytes = 100 << 30
		var fs syscall.Statfs_t
		if syscall.Statfs(c.NATS.Dir, &fs) == nil {
			l.MaxBytes = min(l.MaxBytes, max(int64(fs.Bavail)*int64(fs.Bsize)/2, 1<<30))
			if used, err := dirSize(filepath.Join(c.NATS.Dir, "jetstream")); err == nil {
				l.MaxBytes = max(l.MaxBytes, used) // free disk shrinks as the log grows; the limit must not follow it down
			}
		}
	}
	return l
}

func dirSize(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			n += i.Size()
		}
		return nil
	})
	return n, err
}

// Open opens the event log of a configuration and prepares everything, but starts nothing: consumers' positions are made here, before
// any producer can publish.
func Open(ctx context.Context, cfg *config.Loaded, opt Options) (*Engine, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	var e *Engine
	err := patiently(ctx, opt.Log, func() error {
		e = &Engine{cfg: cfg, opt: opt, log: opt.Log, started: time.Now().UTC()}
		if err := e.open(ctx); err != nil {
			return errors.Join(err, e.Close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) error {
	names := []string{}
	for _, p := range e.cfg.Producers {
		names = append(names, p.Name)
	}
	for _, c := range e.cfg.Consumers {
		if c.Enricher != nil {
			names = append(names, c.Name)
		}
	}
	bo, err := BrokerOptions(e.cfg.Config, names, e.log)
	if err != nil {
		return err
	}
	if e.b, err = broker.Open(ctx, bo); err != nil {
		return err
	}
	e.store, err = eventlog.Provision(ctx, e.b.Conn(), e.b.JS(), layout(e.cfg.Config, e.b, e.opt.AcceptLoss))
	if err != nil {
		return err
	}
	if err := e.guard(ctx); err != nil {
		return err
	}
	e.guarded = true
	e.clock = newClock(e)
	if err := e.rename(ctx); err != nil {
		if !e.opt.command || !errors.Is(err, ErrRenamed) {
			return err
		}
		e.refused = err
	}
	e.http = newClients(e.cfg, e.opt.Version)
	e.metrics = newMetrics(e)
	e.pressure = newPressure(e)
	if e.refused != nil {
		return nil // no position may be made under a name that is in doubt
	}
	for _, c := range e.cfg.Consumers {
		if !e.wanted(c.Name) {
			continue
		}
		k, err := e.newConsumer(ctx, c)
		if err != nil {
			return err
		}
		e.consumers = append(e.consumers, k)
	}
	for _, p := range e.cfg.Producers {
		if e.wanted(p.Name) {
			e.producers = append(e.producers, e.newProducer(p))
		}
	}
	return nil
}

func (e *Engine) wanted(name string) bool {
	return len(e.opt.Only) == 0 || slices.Contains(e.opt.Only, name)
}

// Store is the opened event log.
func (e *Engine) Store() *eventlog.Store { return e.store }

// DeadLetters counts all dead letters that wait.
func (e *Engine) DeadLetters(ctx context.Context) (n uint64, err error) {
	by, err := e.store.Letters.Counts(ctx)
	for _, c := range by {
		n += c
	}
	return n, err
}

// Broker is the server of the event log.
func (e *Engine) Broker() *broker.Broker { return e.b }

// Run runs everything until ctx ends, then stops producers, drains consumers and returns. With Options.Once it returns when all polled
// producers are through and the consumers have dealt with everything. An error means that a part failed for good.
func (e *Engine) Run(ctx context.Context) error {
	err := patiently(ctx, e.log, func() error {
		for _, p := range e.producers {
			if err := e.adopt(ctx, p.cfg.Name, p.cfg.Kind, "producer"); err != nil {
				return err
			}
		}
		return e.settleAbsent(ctx)
	})
	if err != nil {
		return err
	}
	sinks, stopSinks := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSinks()
	sources, stopSources := context.WithCancel(ctx)
	defer stopSources()

	var consumers, producers, others errgroup.Group
	for _, c := range e.consumers {
		consumers.Go(func() error { return c.run(sinks) })
	}
	for _, p := range e.producers {
		producers.Go(func() error { return p.run(sources) })
	}
	others.Go(func() error { return e.clock.run(sources) })
	others.Go(func() error { return e.control(sources) })
	others.Go(func() error { return e.watermarks(sources) })
	others.Go(func() error { return e.sweep(sources) })
	e.mu.Lock()
	e.ready = true
	e.mu.Unlock()

	if e.opt.Once {
		err = producers.Wait()
		err = errors.Join(err, e.drain(ctx))
	} else {
		<-ctx.Done()
	}
	stopSources()
	err = errors.Join(err, producers.Wait(), others.Wait())
	e.mu.Lock()
	e.ready = false
	e.mu.Unlock()
	stopSinks()
	return errors.Join(err, consumers.Wait())
}

// Close closes the event log; Run must have returned.
func (e *Engine) Close() error {
	for _, c := range e.consumers {
		c.close()
	}
	if e.b == nil {
		return nil
	}
	if e.store != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		e.mark(ctx)
	}
	return e.b.Close()
}

// markings is what gates know of marking-definitions: those that producers published.
func (e *Engine) markings(ctx context.Context) (*stix.Markings, error) {
	m := &stix.Markings{}
	err := e.store.Latest.Scan(ctx, "gates-markings", eventlog.LatestFilter("marking-definition", "*"), 0, false, func(n eventlog.Entry) error {
		if o, err := n.Object(); err == nil {
			m.Learn(o)
		}
		return nil
	})
	return m, err
}

// settleAbsent brings STIX_LATEST up to the log for producers that this process does not run: nobody else may. One that was killed in its
// very first commit is known to the log alone.
func (e *Engine) settleAbsent(ctx context.Context) error {
	names, err := e.store.Latest.Producers(ctx)
	if err != nil {
		return err
	}
	logged, err := e.store.Log.Producers(ctx)
	if err != nil {
		return err
	}
	names = append(names, logged...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if slices.ContainsFunc(e.producers, func(p *producer) bool { return p.cfg.Name == name }) {
			continue
		}
		err := e.as(ctx, name, "catch-up", false, func(*intake.Intake) error { return nil })
		if err != nil && !errors.Is(err, eventlog.ErrHeld) {
			return err
		}
	}
	return nil
}

// as opens a producer's intake for the time of f. With wait it waits for the producer's lease, else it returns ErrHeld.
func (e *Engine) as(ctx context.Context, name, what string, wait bool, f func(*intake.Intake) error) error {
	l, err := eventlog.Acquire(ctx, e.store.State, "producer."+name, what, wait)
	if err != nil {
		return err
	}
	defer l.Release()
	in, err := intake.Open(ctx, e.store, e.b.Conn(), l, intake.Options{Producer: name, MaxAge: time.Duration(e.cfg.Config.NATS.MaxAge), Log: e.log, AcceptRebuild: e.opt.AcceptRebuild, Expiry: e.clock.note})
	if err != nil {
		return err
	}
	err = f(in)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, in.Close(closing))
}
