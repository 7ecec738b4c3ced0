package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	memberShare  = 2000                 // events for each member
	memberAnswer = 5 * time.Millisecond // of the target
)

// members compares one consumer run by several processes with one that one process runs: a webhook with two deliveries under way in each, a
// target that takes 5 ms, an external server, different objects.
func members(ctx context.Context, b *bench) error {
	const name = "live stream's log → a target that takes 5ms, members"
	var one float64
	for _, n := range []int{1, 2, 4, 8} {
		var took side
		for range min(b.runs, 3) {
			s, skipped, err := b.manned(ctx, n)
			if err != nil {
				return err
			}
			if skipped != "" {
				b.add(result{Name: name, Target: "≥ 0.85 of linear", Skipped: skipped})
				return nil
			}
			took = append(took, s)
		}
		rate := float64(n*memberShare) / took.median(wall).Seconds()
		if n == 1 {
			one = rate
		}
		r := result{Name: fmt.Sprintf("%s: %d", name, n), Against: "linear", Unit: "events/s", Ours: rate, Bare: one * float64(n), Ratio: rate / one / float64(n), Runs: len(took), Met: true, Target: "≥ 0.85"}
		r.Low, r.High, r.Met = r.Ratio, r.Ratio, r.Ratio >= 0.85
		b.add(r)
	}
	return nil
}

// manned lets n members deliver what is in the log.
func (b *bench) manned(ctx context.Context, n int) (s sample, skipped string, err error) {
	events := n * memberShare
	p, url, err := b.platform("-events", fmt.Sprint(events), "-answer", memberAnswer.String())
	if err != nil {
		return s, "", err
	}
	defer p.stop()
	server, address, skipped, err := b.server()
	if err != nil || skipped != "" {
		return s, skipped, err
	}
	defer server.stop()
	var all []*instance
	defer func() {
		for _, k := range all {
			k.close()
		}
	}()
	consumer := sinkOf(url, "concurrency: 2")
	// The log is filled before anybody may deliver.
	filling := b.newDir()
	k, err := b.launch(ctx, filling, address, liveProducer(url))
	if err != nil {
		return s, "", err
	}
	_, err = k.stored(ctx, events)
	k.close()
	if err != nil {
		return s, "", err
	}
	for range n {
		k, err := b.launch(ctx, b.newDir(), address, consumer)
		if err != nil {
			return s, "", err
		}
		all = append(all, k)
	}
	// Measured over the middle: the members find each other first, and the last events are not enough for all.
	r, err := sunk(ctx, url, events/4, all[0].child)
	if err != nil {
		return s, "", err
	}
	from, at := r.Sink.Events, time.Now()
	r, err = sunk(ctx, url, events*9/10, all[0].child)
	took := time.Since(at)
	s.wall = time.Duration(float64(took) * float64(events) / float64(r.Sink.Events-from))
	return s, "", errors.Join(err, ctx.Err())
}
