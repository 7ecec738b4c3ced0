package delivery

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// Status describes the consumer; last is the log's last sequence. Dead is left to whoever knows the dead letters that wait.
func (r *Runner) Status(last uint64) bridge.ConsumerStatus {
	now := time.Now()
	r.mu.Lock()
	s := bridge.ConsumerStatus{
		Name: r.cfg.Name, Kind: r.cfg.Kind, Role: r.cfg.Role, MaxTLP: r.gate.Ceiling().String(),
		Position: r.positionLocked(), InFlight: r.s.inflight, Rate: r.stat.rate.rate(now),
		Delivered: r.stat.delivered, Retracted: r.stat.retracted, Held: maps.Clone(r.stat.held), Retries: r.stat.retries,
		Deliveries: r.stat.calls, Phase: "live",
	}
	if floor := r.floorLocked(); floor > s.Position {
		s.Position = floor // the saved position follows within half a second
	}
	if last > s.Position {
		s.Lag = last - s.Position
	}
	if it := r.s.floors.lowest(); it != nil && !it.event.Time.IsZero() {
		s.OldestAge = max(now.Sub(it.event.Time).Seconds(), 0)
	}
	if r.phase.Snapshot {
		s.Phase = "snapshot"
	}
	for _, id := range slices.Sorted(maps.Keys(r.replays)) {
		p := r.replays[id].progress()
		s.Replay = &p
		break
	}
	s.NextTry = r.s.temper.next(now).UTC()
	if s.NextTry.Equal(time.Time{}) {
		s.NextTry = time.Time{}
	}
	s.Health, s.Error = r.healthLocked(now)
	if s.Health != r.stat.health {
		r.stat.health, r.stat.since = s.Health, now.UTC()
	}
	s.Since = r.stat.since
	r.mu.Unlock()
	if rep, ok := as[bridge.Reporter](r.cfg.Sink); ok {
		s.Extra = rep.Report()
	}
	return s
}

// healthLocked is the consumer's health in one word, and the reason.
func (r *Runner) healthLocked(now time.Time) (word, reason string) {
	t := &r.s.temper
	for _, part := range slices.Sorted(maps.Keys(r.trouble)) {
		return bridge.Unhealthy, part + ": " + r.trouble[part]
	}
	if late := r.longestCall(now) - r.cfg.Timeout; late > grace {
		return bridge.Unhealthy, fmt.Sprintf("a delivery has not come back %s after its deadline", late.Truncate(time.Second))
	}
	switch {
	case r.broke:
		return bridge.Unhealthy, r.over.Error()
	case !r.running:
		return bridge.Offline, ""
	case t.refused:
		return bridge.Refused, t.text
	case r.stopped:
		return bridge.Stopped, t.text
	case !r.started:
		return bridge.Starting, t.text
	case t.streak > 0 || t.leave.After(now) || len(r.s.suspects) > 0:
		return bridge.Retrying, t.text
	case r.stat.lost > 0 && now.Sub(r.stat.lostAt) < lossShown:
		return bridge.Unhealthy, fmt.Sprintf("%d sequences of the event log were gone before they were read; replay brings the current state", r.stat.lost)
	}
	return bridge.Healthy, ""
}

// longestCall is how long the oldest call under way has taken; zero when there is none.
func (r *Runner) longestCall(now time.Time) (d time.Duration) {
	for _, began := range r.calling {
		d = max(d, now.Sub(began))
	}
	return d
}

// lossShown is how long a loss keeps the consumer from being called healthy.
const lossShown = 24 * time.Hour

// Figures are what metrics need beside Status.
type Figures struct {
	Lost      uint64    // sequences that retention removed before they were read
	Missing   uint64    // comparisons with properties that an object did not have
	Broken    uint64    // objects on which the where expression failed, and so held back
	BrokenBy  string    // the last of them, and its error
	Dead      uint64    // dead letters stored by this run
	LastGood  time.Time // when the target last took an event
	Window    int       // events held in memory
	Ahead     int       // events read above the lowest floor, dealt with or not
	Bytes     int       // of them
	Suspects  int       // events of failed calls that wait for another
	Remedies  map[string]string
	StartedAt Phase
}

// Figures returns the figures.
func (r *Runner) Figures() Figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := Figures{
		Lost: r.stat.lost, Missing: r.stat.missing, Broken: r.stat.broken, BrokenBy: r.stat.brokenText, Dead: r.stat.dead, LastGood: r.stat.arrivedAt,
		Window: r.s.heavy, Ahead: r.s.floors.count, Bytes: r.s.bytes, Suspects: len(r.s.suspects), StartedAt: r.phase, Remedies: map[string]string{},
	}
	for name := range r.stat.held {
		f.Remedies[name] = r.gate.Remedy(name)
	}
	return f
}
