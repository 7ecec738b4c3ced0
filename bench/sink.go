package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// recipe is a way from a live stream into an HTTP sink.
type recipe struct {
	name   string
	config string // of our consumer, beside kind, url and the open gates; empty: a peer
	mode   string // of the peer
	ours   bool
}

// The configurations a user would write: one event in a request for a target that takes one, or a batch.
var recipes = []recipe{
	{name: "one event a request, concurrency 32", config: "concurrency: 32", ours: true},
	{name: "batch 100, concurrency 4", config: "batch: 100, concurrency: 4", ours: true},
	{name: "careful", mode: "careful"},
	{name: "pool", mode: "pool"},
}

// toHTTP compares a live stream's way through the durable log into an HTTP sink, order per object kept, with OpenCTI's own client: with a
// callback that posts each event and waits, and with one that hands events to a thread pool, as stock webhooks do. The target answers at once,
// or after 20 ms.
func toHTTP(ctx context.Context, b *bench) error {
	for _, c := range []struct {
		answer           time.Duration
		ours, careful, p int     // events
		least, leastPool float64 // ratios wanted
	}{
		{0, 10_000, 3_000, 3_000, 3, 5},
		{20 * time.Millisecond, 6_000, 300, 1_200, 20, 4},
	} {
		events := map[string]int{"careful": c.careful, "pool": c.p}
		if err := b.posting(ctx, c.answer, c.ours, events, c.least, c.leastPool); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) posting(ctx context.Context, answer time.Duration, n int, peers map[string]int, least, leastPool float64) error {
	python, without, err := b.python()
	if err != nil {
		return err
	}
	sides, last := map[string]side{}, map[string]report{}
	for range b.runs {
		for _, r := range recipes {
			events := n
			if !r.ours {
				if events = peers[r.mode]; without != "" {
					continue
				}
			}
			s, rep, err := b.posted(ctx, r, python, answer, events)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if r.ours && (rep.Sink.Older > 0 || rep.Sink.Repeated > 0) {
				return fmt.Errorf("%s: %d events came after a newer version of their object, %d came twice", r.name, rep.Sink.Older, rep.Sink.Repeated)
			}
			sides[r.name], last[r.name] = append(sides[r.name], s), rep
		}
	}
	target := "a target that answers at once"
	if answer > 0 {
		target = "a target that takes " + answer.String()
	}
	for _, r := range recipes[:2] {
		name := "live stream → log → " + target + ", " + r.name
		if without != "" {
			b.add(result{Name: name, Against: "pycti", Target: fmt.Sprintf("≥ %.0f", least), Skipped: without})
			continue
		}
		b.versus(comparison{name: name, against: "a careful pycti callback", unit: "events/s", n: n, bareN: peers["careful"], ours: sides[r.name], bare: sides["careful"], least: least})
		pool := last["pool"].Sink
		b.versus(comparison{name: name, against: "a pycti callback with a thread pool", unit: "events/s", n: n, bareN: peers["pool"], ours: sides[r.name], bare: sides["pool"], least: leastPool,
			note: fmt.Sprintf("of the pool's events %d %% came after a later one, of ours none after a newer version of its object", 100*pool.Behind/max(pool.Events, 1))})
	}
	if answer == 0 {
		b.memory(sides, without)
	}
	return nil
}

// memory compares the resident memory of the processes alone: ours has its event log in a server of its own.
func (b *bench) memory(sides map[string]side, without string) {
	name := "resident memory of the bridge's process, external server"
	if without != "" {
		b.add(result{Name: name, Target: "≤ 2.00", Skipped: without})
		return
	}
	ours, theirs := max(sides[recipes[0].name].peak(), sides[recipes[1].name].peak()), sides["careful"].peak()
	r := result{Name: name, Against: "pycti's process", Unit: "MiB", Ours: float64(ours) / (1 << 20), Bare: float64(theirs) / (1 << 20), Ratio: float64(ours) / float64(theirs), Target: "< 2.00", Runs: b.runs}
	r.Low, r.High, r.Met = r.Ratio, r.Ratio, r.Ratio < 2
	b.add(r)
}

// posted runs one of them once.
func (b *bench) posted(ctx context.Context, r recipe, python string, answer time.Duration, n int) (s sample, rep report, err error) {
	p, url, err := b.platform("-events", fmt.Sprint(n), "-again", "10", "-answer", answer.String())
	if err != nil {
		return s, rep, err
	}
	defer p.stop()
	var who *child
	if r.ours {
		server, address, skipped, err := b.server()
		if err != nil || skipped != "" {
			return s, rep, errors.Join(err, errors.New(skipped))
		}
		defer server.stop()
		settle()
		dir := b.newDir()
		defer os.RemoveAll(dir)
		k, err := b.launch(ctx, dir, address, liveProducer(url)+sinkOf(url, r.config))
		if err != nil {
			return s, rep, err
		}
		defer k.close()
		who = k.child
	} else {
		settle()
		if who, err = b.listening(python, r.mode, url, n, nil); err != nil {
			return s, rep, err
		}
		defer who.kill()
	}
	if rep, err = sunk(ctx, url, n, who); err != nil {
		return s, rep, err
	}
	u := who.used()
	return sample{wall: time.Duration(rep.Sink.Last - rep.Begun), peak: u.peak}, rep, nil
}

// sinkOf is a webhook with open gates.
func sinkOf(url, config string) string {
	if config != "" {
		config = ", " + config
	}
	return fmt.Sprintf("consumers: [ { kind: webhook, name: sink, url: %q, producers: [\"*\"], max_tlp: red, start: all, expired: true%s } ]\n", url+"/sink", config)
}
