package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
	"github.com/stixbridge/stixbridge/stix"
)

// Attached is access to an event log for one command: through a running bridge, or with the store opened by ourselves.
type Attached struct {
	*Engine         // nil parts: nothing runs here
	Running bool    // a bridge has the store open
	Remote  *Remote // orders for it
}

// ErrNoLog says that there is no event log yet.
var ErrNoLog = errors.New("no event log here yet; `stixbridge run` makes it")

// Attach opens the event log of a configuration for a command. With make it is made when it does not exist. Consumers' positions are
// prepared when the store is ours, so that what a command publishes is not missed by a consumer that has never run.
func Attach(ctx context.Context, cfg *config.Loaded, opt Options, create bool) (*Attached, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	opt.command = true
	n := cfg.Config.NATS
	if n.URL != "" || n.Context != "" {
		return attachTo(ctx, cfg, opt, create)
	}
	if _, err := os.Stat(n.Dir); errors.Is(err, os.ErrNotExist) && !create {
		return nil, fmt.Errorf("%s: %w", n.Dir, ErrNoLog)
	}
	own := *cfg
	own.Config.NATS.Listen = "127.0.0.1:0" // nobody needs to find us
	running := *cfg
	running.Config.NATS = bridge.NATSConfig{Dir: n.Dir, Context: broker.ContextFile(n.Dir), MaxAge: n.MaxAge}
	for begun := time.Now(); ; {
		e, err := Open(ctx, &own, opt)
		if err == nil {
			return &Attached{Engine: e}, nil
		}
		if !errors.Is(err, broker.ErrInUse) {
			return nil, err
		}
		a, err := attachTo(ctx, &running, opt, false)
		if err == nil || time.Since(begun) > startLimit { // a bridge that is just starting has its server and streams in a moment
			return a, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// startLimit is how long a command waits for a bridge that has the store but does not serve yet.
const startLimit = 10 * time.Second

// attachTo connects to a server that runs.
func attachTo(ctx context.Context, cfg *config.Loaded, opt Options, create bool) (*Attached, error) {
	e := &Engine{cfg: cfg, opt: opt, log: opt.Log, started: time.Now().UTC()}
	bo, err := BrokerOptions(cfg.Config, nil, opt.Log)
	if err != nil {
		return nil, err
	}
	if e.b, err = broker.Open(ctx, bo); err != nil {
		return nil, err
	}
	e.store, err = eventlog.Open(ctx, e.b.Conn(), e.b.JS())
	if err != nil && create {
		e.store, err = eventlog.Provision(ctx, e.b.Conn(), e.b.JS(), layout(cfg.Config, e.b, false))
	}
	if err != nil {
		return nil, errors.Join(err, e.b.Close())
	}
	e.http = newClients(cfg, opt.Version)
	e.clock = newClock(e)
	return &Attached{Engine: e, Running: true, Remote: &Remote{NC: e.b.Conn()}}, nil
}

// Detach closes what Attach opened.
func (a *Attached) Detach() error {
	if a.Running {
		return a.b.Close()
	}
	return a.Close()
}

// Import runs a producer once under a name and returns what became of its input. The name's lease is taken: a configured producer of
// that name must not run.
func (a *Attached) Import(ctx context.Context, name string, level stix.TLP, p bridge.Producer, progress func(done, total int64, unit string)) (map[[2]string]uint64, error) {
	if a.refused != nil {
		return nil, a.refused
	}
	l, err := eventlog.Acquire(ctx, a.store.State, "producer."+name, "import", false)
	if errors.Is(err, eventlog.ErrHeld) {
		return nil, fmt.Errorf("%w; stop it, or choose another --producer", err)
	}
	if err != nil {
		return nil, err
	}
	defer l.Release()
	dir, err := os.MkdirTemp("", "stixbridge-import-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	in, err := intake.Open(ctx, a.store, a.b.Conn(), l, intake.Options{
		Producer: name, DefaultTLP: level, MaxAge: time.Duration(a.cfg.Config.NATS.MaxAge), Log: a.log, Diff: reversePatch,
		Expiry: a.clock.note, Pressure: newPressure(a.Engine).wait, OnProgress: progress, AcceptRebuild: a.opt.AcceptRebuild,
	})
	if err != nil {
		return nil, err
	}
	run := bridge.NewRun(name, whole{in}, a.http.of(name), a.log)
	run.Dir, run.Once = dir, true
	err = p.Produce(ctx, run)
	if err == nil {
		err = in.Flush(ctx)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, in.Close(closing))
	return in.Counts.All(), err
}

// whole is an intake without a cursor: what the user names is read from its beginning, and a configured producer's cursor stays its own.
type whole struct{ *intake.Intake }

func (whole) Cursor(context.Context) (json.RawMessage, error) { return nil, nil }
func (whole) Commit(context.Context, json.RawMessage) error   { return nil }

// StoreStatus is the status of a store that no bridge runs on.
func (a *Attached) StoreStatus(ctx context.Context) (bridge.Status, error) {
	if a.Running {
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		s, err := a.Remote.Status(wait)
		if !errors.Is(err, ErrNotRunning) {
			return s, err
		}
		s = bridge.Status{Version: a.opt.Version}
		s.Log, s.Latest, err = storeStatus(ctx, a.store)
		s.Log.Mode, s.Log.Server = "external", a.b.URL()
		return s, err
	}
	s, err := a.Status(ctx)
	s.Running, s.Started = false, time.Time{}
	for i := range s.Consumers {
		s.Consumers[i].Health = bridge.Offline
	}
	for i := range s.Producers {
		s.Producers[i].Health = bridge.Offline
	}
	return s, err
}

// While runs f while the named consumers can deliver: in the running bridge, or here for as long as f takes.
func (a *Attached) While(ctx context.Context, names []string, f func(context.Context) error) error {
	if a.Running {
		return f(ctx)
	}
	if a.refused != nil {
		return a.refused
	}
	a.producers = nil
	a.consumers = slices.DeleteFunc(a.consumers, func(k *consumer) bool { return !slices.Contains(names, k.cfg.Name) })
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for !a.isReady() { // STIX_LATEST is brought up to the log first: what f does must not meet that, nor end it
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
	err := f(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// Trust lets a name's HTTP client reach a host that was written on the command line.
func (a *Attached) Trust(name, address string) { a.http.trust(name, address) }

// Object returns what is known about an id: what each producer asserts, or the object's events, oldest first.
func (e *Engine) Object(ctx context.Context, id string, history bool) (events []bridge.Event, err error) {
	typ, _, ok := strings.Cut(id, "--")
	if !ok || !eventlog.SafeType(typ) {
		return nil, fmt.Errorf("%q is no STIX id (type--uuid)", id)
	}
	if history {
		filter := []string{fmt.Sprintf("%s*.*.*.*.%d", eventlog.Prefix, eventlog.Partition(id, e.store.Log.Partitions()))}
		err = e.store.Log.Read(ctx, "get", 1, eventlog.ReadOptions{Filter: filter}, func(r eventlog.Record) error {
			if r.ID != id {
				return nil
			}
			ev, err := r.Event()
			events = append(events, ev)
			return err
		})
		return events, err
	}
	all, err := e.store.Latest.Of(ctx, typ, id)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n, err = e.store.Latest.Fetch(ctx, n); err != nil {
			return nil, err
		}
		ev, err := eventlog.Record{Subject: n.Subject, Seq: n.Seq, Time: n.Time, EventID: n.EventID, ID: n.ID, Context: n.Context, Data: n.Data}.Event()
		if err != nil {
			return nil, err
		}
		events = append(events, ev)
	}
	slices.SortFunc(events, func(x, y bridge.Event) int { return strings.Compare(x.Producer, y.Producer) })
	return events, nil
}
