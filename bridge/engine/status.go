package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/subscriber"
)

// Status tells how everything fares. It asks the server a handful of questions.
func (e *Engine) Status(ctx context.Context) (bridge.Status, error) {
	s := bridge.Status{Version: e.opt.Version, Instance: instance, Started: e.started, Running: e.isReady()}
	var err error
	if s.Log, s.Latest, err = storeStatus(ctx, e.store); err != nil {
		return s, err
	}
	s.Log.Server, s.Log.Mode = e.b.URL(), "external"
	if e.b.Embedded() {
		s.Log.Mode = "embedded"
	}
	dead, err := e.store.Letters.Counts(ctx)
	if err != nil {
		return s, err
	}
	for _, p := range e.producers {
		ps := p.status()
		ps.Dead = dead[ps.Name]
		s.Producers = append(s.Producers, ps)
	}
	for _, k := range e.consumers {
		cs := k.status(s.Log)
		cs.Dead = dead[cs.Name]
		s.Consumers = append(s.Consumers, cs)
	}
	outside, err := subscriber.Status(ctx, e.store)
	if err != nil {
		return s, err
	}
	for _, c := range outside {
		c.Overtaken = e.forecast(s.Log).overtaken(c)
		s.Consumers = append(s.Consumers, c)
	}
	gone, err := e.orphans(ctx)
	if err != nil {
		return s, err
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		s.Orphans = append(s.Orphans, fmt.Sprintf("%s %s (kind %s)", gone[name].Role, name, gone[name].Kind))
	}
	if free := e.diskFree(); free >= 0 && free < diskLow {
		s.Problems = append(s.Problems, fmt.Sprintf("disk of %s: %d MiB are left: make room, and restart the bridge if it was full, for then its server takes no more events", e.cfg.Config.NATS.Dir, free>>20))
	}
	s.Problems = append(s.Problems, problems(s, e.pressure != nil && e.pressure.waiting())...)
	if e.refused != nil {
		s.Problems = append([]string{e.refused.Error()}, s.Problems...)
	}
	return s, nil
}

func storeStatus(ctx context.Context, st *eventlog.Store) (l bridge.LogStatus, n bridge.LatestStatus, err error) {
	info, err := st.Log.Info(ctx)
	if err != nil {
		return l, n, err
	}
	l = bridge.LogStatus{
		FirstSeq: info.State.FirstSeq, LastSeq: info.State.LastSeq, Events: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes,
	}
	if info.State.Msgs > 0 {
		l.Oldest, l.Newest = info.State.FirstTime.UTC(), info.State.LastTime.UTC()
	}
	if l.Erased, err = eventlog.ErasedSince(ctx, st.State, info.State.FirstSeq); err != nil {
		return l, n, err
	}
	if c := info.Cluster; c != nil {
		for _, r := range c.Replicas {
			if r.Offline || !r.Current && r.Active > awayAfter {
				l.Away = append(l.Away, r.Name)
			}
		}
	}
	l.Missing = max(info.State.NumDeleted-l.Erased, 0)
	li, err := st.Latest.Info(ctx)
	if err != nil {
		return l, n, err
	}
	n = bridge.LatestStatus{Objects: li.State.Msgs, Max: li.Config.MaxMsgs, Bytes: li.State.Bytes}
	return l, n, nil
}

// awayAfter is how long a replica may be silent.
const awayAfter = 10 * time.Second

// problems are what a person should act on, most urgent first.
func problems(s bridge.Status, waiting bool) (p []string) {
	if s.Log.Missing > 0 {
		p = append(p, fmt.Sprintf("event log: %d events are gone that no erasure accounts for: the store is damaged; restore a backup", s.Log.Missing))
	}
	if len(s.Log.Away) > 0 {
		p = append(p, fmt.Sprintf("event log: server %s is away or far behind; when most are, nothing can be stored", strings.Join(s.Log.Away, ", ")))
	}
	if waiting {
		p = append(p, "event log: nearly full while a protected consumer has not read its oldest events; producers wait")
	}
	if s.Latest.Max > 0 && s.Latest.Objects*100 > uint64(s.Latest.Max)*95 {
		p = append(p, fmt.Sprintf("latest objects: %d of %d; raise nats.max_objects (0.4 KiB of memory each)", s.Latest.Objects, s.Latest.Max))
	}
	for _, c := range s.Consumers {
		switch c.Health {
		case bridge.Refused, bridge.Unhealthy, bridge.Retrying:
			p = append(p, fmt.Sprintf("consumer %s: %s since %s: %s", c.Name, c.Health, c.Since.Format(time.RFC3339), c.Error))
		}
		if c.Overtaken > 0 && c.Overtaken < alarming.Seconds() {
			p = append(p, fmt.Sprintf("consumer %s loses data in %s at this pace: retention reaches its position", c.Name, days(c.Overtaken)))
		}
		if c.Dead > 0 {
			p = append(p, fmt.Sprintf("consumer %s: %d dead letters: stixbridge dlq list %s", c.Name, c.Dead, c.Name))
		}
	}
	for _, r := range s.Producers {
		if r.Health == bridge.Unhealthy || r.Health == bridge.Retrying {
			p = append(p, fmt.Sprintf("producer %s: %s: %s", r.Name, r.Health, r.Error))
		}
		if r.Dead > 0 {
			p = append(p, fmt.Sprintf("producer %s: %d dead letters: stixbridge dlq list %s", r.Name, r.Dead, r.Name))
		}
		for _, g := range r.Gaps {
			if !g.Healed {
				p = append(p, fmt.Sprintf("producer %s: gap of %s: %s", r.Name, g.Time.Format(time.RFC3339), g.Detail))
			}
		}
	}
	return p
}

func (e *Engine) isReady() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.ready }

// Ready returns nil once everything runs and the event log answers.
func (e *Engine) Ready(ctx context.Context) error {
	if !e.isReady() {
		return fmt.Errorf("not started yet, or stopping")
	}
	_, _, err := e.store.Log.Bounds(ctx)
	return err
}

// Healthy returns why the bridge is degraded; nothing when it is well.
func (e *Engine) Healthy(ctx context.Context) []string {
	s, err := e.Status(ctx)
	if err != nil {
		return []string{"event log: " + err.Error()}
	}
	return s.Problems
}

func (p *producer) status() bridge.ProducerStatus {
	s := bridge.ProducerStatus{Name: p.cfg.Name, Kind: p.cfg.Kind, Counts: map[string]uint64{}, Types: map[string]uint64{}}
	for k, n := range p.counts() {
		s.Counts[k[0]] += n
		if k[1] != "" {
			s.Types[k[1]] += n
		}
	}
	if r, ok := p.cfg.Producer.(bridge.Reporter); ok {
		s.Extra = r.Report()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Health, s.LastRun, s.NextRun, s.Gaps, s.Progress, s.Rate = p.health, p.lastRun, p.nextRun, slices.Clone(p.gaps), p.progress, p.rate.perSecond()
	if p.err != nil {
		s.Error = p.err.Error()
	}
	if p.in != nil {
		s.Cursor, _ = p.in.Cursor(context.Background()) // it is in memory
	}
	return s
}

func (k *consumer) status(log bridge.LogStatus) bridge.ConsumerStatus {
	s := k.runner().Status(log.LastSeq)
	s.Late = k.late.Load()
	k.mu.Lock()
	if k.standby != nil {
		s.Health, s.Error = bridge.Idle, standingBy+k.standby.Error()
	}
	if k.failed != nil {
		s.Health, s.Error = bridge.Unhealthy, k.failed.Error()
	}
	if len(k.share) > 0 {
		s.Members = 1
		if len(k.share) < k.e.store.Log.Partitions() {
			s.Share = k.share
		}
	}
	k.mu.Unlock()
	if s.Held == nil {
		s.Held = map[string]uint64{}
	}
	if gate, n := k.skipped.count(); n > 0 {
		s.Held[gate] += n
	}
	if k.deletes != nil {
		if n := k.deletes.held.Load(); n > 0 {
			s.Held["on_delete"] += n
		}
	}
	s.Overtaken = k.e.forecast(log).overtaken(s)
	return s
}

// rate is the mean over the last minute, from samples every five seconds.
type rate struct {
	mu      sync.Mutex
	samples []sample
}

type sample struct {
	at time.Time
	n  uint64
}

const rateSamples = 13

func (r *rate) add(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, sample{time.Now(), n})
	if len(r.samples) > rateSamples {
		r.samples = slices.Delete(r.samples, 0, 1)
	}
}

func (r *rate) perSecond() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) < 2 {
		return 0
	}
	a, b := r.samples[0], r.samples[len(r.samples)-1]
	return float64(b.n-a.n) / b.at.Sub(a.at).Seconds()
}

// events counts what became an event.
func (p *producer) events() (n uint64) {
	for k, c := range p.counts() {
		switch bridge.Op(k[0]) {
		case bridge.Create, bridge.Update, bridge.Delete, bridge.Merge, bridge.Expire, bridge.Retract:
			n += c
		}
	}
	return n
}
