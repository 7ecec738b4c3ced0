package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
)

// producer runs one configured producer: it leads or stands by, opens the intake, and calls Produce on schedule.
type producer struct {
	e   *Engine
	cfg config.Producer
	log *slog.Logger

	mu       sync.Mutex
	in       *intake.Intake
	health   string
	err      error
	lastRun  time.Time
	nextRun  time.Time
	progress *bridge.ProgressStatus
	gaps     []bridge.GapStatus
	total    map[[2]string]uint64 // of intakes that ended
	rate     rate
	failed   bool // the last run failed
	through  bool // a run went through
}

func (e *Engine) newProducer(c config.Producer) *producer {
	return &producer{e: e, cfg: c, log: e.log.With("producer", c.Name), health: bridge.Starting, total: map[[2]string]uint64{}}
}

// record of a producer in the state bucket: producer.<name>.
type record struct {
	Kind  string             `json:"kind"`
	First bool               `json:"first_done"` // its first import is through
	Gaps  []bridge.GapStatus `json:"gaps,omitempty"`
}

func (p *producer) key() string { return "producer." + p.cfg.Name }

// skipped reports whether run --once leaves the producer out.
func (p *producer) skipped() bool { return p.cfg.Traits.Live || p.cfg.Traits.Push }

// run leads until ctx ends. A failure of one attempt is shown and tried again; with --once it is the result.
func (p *producer) run(ctx context.Context) error {
	if p.e.opt.Once && p.skipped() {
		p.set(bridge.Idle, nil)
		return nil
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		begun := time.Now()
		err := p.lead(ctx)
		if ctx.Err() != nil {
			p.set(bridge.Idle, nil)
			return nil
		}
		if err == nil || p.e.opt.Once {
			return err
		}
		p.set(bridge.Unhealthy, err)
		p.log.Error("producer stopped, starts again", "error", err, "wait", wait)
		if time.Since(begun) > 5*time.Minute {
			wait = time.Second
		}
		if transient(err) {
			wait = min(wait, 4*time.Second)
		}
		if pause(ctx, wait) != nil {
			return nil
		}
	}
}

// lead holds the lease and the intake and runs the schedule. It returns nil when a source without schedule is through.
func (p *producer) lead(ctx context.Context) error {
	l, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer l.Release()
	var rec record
	if _, err := p.e.store.State.Get(ctx, p.key(), &rec); err != nil {
		return err
	}
	rec.Kind = p.cfg.Kind
	p.mu.Lock()
	p.gaps = rec.Gaps
	p.mu.Unlock()
	nc, err := p.e.b.Connect("producer-"+p.cfg.Name, p.cfg.Name)
	if err != nil {
		return err
	}
	defer nc.Close()
	in, err := intake.Open(ctx, p.e.store, nc, l, intake.Options{
		Producer: p.cfg.Name, DefaultTLP: p.cfg.Level, MaxDelete: int(p.cfg.Share * 100), Backfill: !rec.First && !p.cfg.Traits.Live,
		AcceptDeletes: slices.Contains(p.e.opt.AcceptDeletes, p.cfg.Name), AcceptRebuild: p.e.opt.AcceptRebuild,
		Aliases: p.cfg.Traits.Live, MaxAge: time.Duration(p.e.cfg.Config.NATS.MaxAge), Log: p.log,
		Validate: validator(p.cfg.Strict), Diff: reversePatch, Pressure: p.e.pressure.wait, Expiry: p.e.clock.note,
		OnHealth: p.onHealth, OnProgress: p.onProgress, OnGap: func(g bridge.Gap) { p.onGap(ctx, g) },
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.in = in
	p.mu.Unlock()
	defer p.retire(in)
	return p.schedule(ctx, in, rec)
}

func (p *producer) acquire(ctx context.Context) (*eventlog.Lease, error) {
	l, err := eventlog.Acquire(ctx, p.e.store.State, "producer."+p.cfg.Name, "run", false)
	if errors.Is(err, eventlog.ErrHeld) {
		p.log.Info("standing by", "reason", err)
		p.set(bridge.Idle, fmt.Errorf("%s%w", standingBy, err))
		l, err = eventlog.Acquire(ctx, p.e.store.State, "producer."+p.cfg.Name, "run", true)
	}
	return l, err
}

// retire closes an intake and keeps its counts.
func (p *producer) retire(in *intake.Intake) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := in.Close(ctx); err != nil {
		p.log.Warn("the last events of this run are not confirmed", "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, n := range in.Counts.All() {
		p.total[k] += n
	}
	p.in = nil
}

// schedule calls Produce, once or again and again.
func (p *producer) schedule(ctx context.Context, in *intake.Intake, rec record) error {
	dir := filepath.Join(p.e.cfg.Config.NATS.Dir, "plugins", p.cfg.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("producer %s: %w", p.cfg.Name, err)
	}
	retry := time.Second
	for {
		run := bridge.NewRun(p.cfg.Name, in, p.e.http.of(p.cfg.Name), p.log)
		run.Dir, run.Once = dir, p.e.opt.Once
		p.began()
		err := p.produce(ctx, run)
		if err == nil {
			err = in.Flush(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if lost := in.Err(); lost != nil {
			return lost
		}
		next := time.Duration(p.cfg.Every)
		if err == nil {
			retry = time.Second
			p.ended(nil, next)
			if !rec.First {
				rec.First = true
				in.SetBackfill(false)
				if _, err := p.e.store.State.Put(ctx, p.key(), rec); err != nil {
					return err
				}
			}
			if p.e.opt.Once {
				return nil
			}
			if next == 0 {
				if p.cfg.Traits.Live {
					continue
				}
				<-ctx.Done() // read once; the intake stays open for the expiry clock
				return context.Cause(ctx)
			}
		} else {
			if p.e.opt.Once {
				p.ended(err, 0)
				return fmt.Errorf("producer %s: %w", p.cfg.Name, err)
			}
			retry = min(2*retry, 5*time.Minute)
			next = retry
			p.ended(err, next)
			p.log.Error("run failed, tried again", "error", err, "wait", next)
		}
		if pause(ctx, next+jitter(next)) != nil {
			return context.Cause(ctx)
		}
	}
}

// produce calls the plugin; a panic is its error, not our end.
func (p *producer) produce(ctx context.Context, run *bridge.Run) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("producer %s panicked: %v", p.cfg.Name, r)
			p.log.Error("producer panicked", "panic", r)
		}
	}()
	return p.cfg.Producer.Produce(ctx, run)
}

// jitter spreads starts by up to a twentieth.
func jitter(d time.Duration) time.Duration { return rand.N(d/20 + 1) }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func (p *producer) began() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastRun, p.nextRun, p.progress = time.Now().UTC(), time.Time{}, nil
	if p.health != bridge.Unhealthy {
		p.health = bridge.Healthy
	}
}

func (p *producer) ended(err error, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health, p.err, p.failed = bridge.Idle, err, err != nil
	p.through = p.through || err == nil
	if err != nil {
		p.health = bridge.Unhealthy
	}
	p.progress = nil
	if next > 0 {
		p.nextRun = time.Now().Add(next).UTC()
	}
}

func (p *producer) set(health string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health, p.err = health, err
}

func (p *producer) onHealth(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.health = err, bridge.Healthy
	if err != nil {
		p.health = bridge.Retrying
	}
}

func (p *producer) onProgress(done, total int64, unit string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress = &bridge.ProgressStatus{Done: done, Total: total, Unit: unit}
}

// maxGaps is how many gaps a producer's record keeps.
const maxGaps = 20

func (p *producer) onGap(ctx context.Context, g bridge.Gap) {
	p.mu.Lock()
	p.gaps = append(p.gaps, bridge.GapStatus{Time: time.Now().UTC(), Gap: g})
	if len(p.gaps) > maxGaps {
		p.gaps = slices.Delete(p.gaps, 0, len(p.gaps)-maxGaps)
	}
	rec := record{Kind: p.cfg.Kind, First: true, Gaps: slices.Clone(p.gaps)}
	p.mu.Unlock()
	if _, err := p.e.store.State.Put(ctx, p.key(), rec); err != nil {
		p.log.Warn("record of a gap", "error", err)
	}
}

// counts sums what became of the input since the process started.
func (p *producer) counts() map[[2]string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := map[[2]string]uint64{}
	for k, n := range p.total {
		sum[k] = n
	}
	if p.in != nil {
		for k, n := range p.in.Counts.All() {
			sum[k] += n
		}
	}
	return sum
}

// current is the open intake, or nil.
func (p *producer) current() *intake.Intake {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.in
}
