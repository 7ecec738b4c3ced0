package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/broker"
	producer "github.com/stixbridge/stixbridge/producers/stix"
	"github.com/stixbridge/stixbridge/stix"
)

// importing compares an import from a file, and a second one of the same, with a bare pair of atomic batches: what the first import
// stored, message by message, into the same streams of the same server. The bare side neither reads nor decides anything.
func importing(ctx context.Context, b *bench) error {
	c, err := b.mixed()
	if err != nil {
		return err
	}
	var first, second, bare side
	var pair *pair
	for range b.runs {
		dir := b.newDir()
		a, err := b.attach(ctx, dir)
		if err != nil {
			return err
		}
		t, err := b.imported(ctx, a, c, "import", "create")
		if err == nil {
			first = append(first, t)
			t, err = b.imported(ctx, a, c, "reimport", "unchanged")
			second = append(second, t)
		}
		if err == nil && pair == nil {
			pair, err = capture(ctx, a.Broker().JS(), c.objects)
		}
		if cerr := a.Detach(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		if err := b.bare(ctx, func(k *broker.Broker) error {
			t, err := clock(func() error { return pair.publish(ctx, k.Conn(), b.batch) })
			bare = append(bare, t)
			return err
		}); err != nil {
			return err
		}
		_ = os.RemoveAll(dir) // room for the next; the rest goes at the end
	}
	b.versus(comparison{name: "import", against: "a bare pair of batches", n: c.objects, ours: first, bare: bare, least: 0.65, size: c.size})
	b.versus(comparison{name: "import, unchanged", against: "the first import", n: c.objects, ours: second, bare: first, least: 2, size: c.size})
	return nil
}

// imported runs the stix producer over the corpus once and returns how long it took until everything was durable.
func (b *bench) imported(ctx context.Context, a *engine.Attached, c *corpus, profile, outcome string) (took sample, err error) {
	section, _ := json.Marshal(map[string]string{"path": c.path})
	p, err := producer.Plugin.Build(section)
	if err != nil {
		return sample{}, err
	}
	err = b.profiled(profile, func() error {
		var counts map[[2]string]uint64
		took, err = clock(func() (err error) { counts, err = a.Import(ctx, "bench", stix.Unmarked, p, nil); return err })
		n := uint64(0)
		for k, v := range counts {
			if k[0] == outcome {
				n += v
			}
		}
		if err == nil && n != uint64(c.objects) {
			err = fmt.Errorf("%d objects of %d are %s: %v", n, c.objects, outcome, counts)
		}
		return err
	})
	return took, err
}

// pair is what two streams hold after an import, in the order in which it was stored.
type pair struct{ events, latest []*nats.Msg }

// capture reads it.
func capture(ctx context.Context, js jetstream.JetStream, n int) (*pair, error) {
	p := &pair{}
	for _, s := range []struct {
		stream string
		filter []string
		into   *[]*nats.Msg
	}{{events, nil, &p.events}, {latest, []string{"latest.v1.>"}, &p.latest}} {
		err := drain(ctx, js, s.stream, s.filter, func(m jetstream.Msg) {
			h := m.Headers()
			delete(h, "Nats-Batch-Id")
			delete(h, "Nats-Batch-Sequence")
			delete(h, "Nats-Batch-Commit")
			delete(h, "Nats-Expected-Last-Subject-Sequence")
			delete(h, "Nats-Expected-Last-Subject-Sequence-Subject")
			*s.into = append(*s.into, &nats.Msg{Subject: m.Subject(), Header: h, Data: m.Data()})
		})
		if err != nil {
			return nil, err
		}
	}
	if len(p.events) != n || len(p.latest) != n {
		return nil, fmt.Errorf("%d events and %d latest objects of %d imported ones", len(p.events), len(p.latest), n)
	}
	return p, nil
}

// publish stores batch n+1 of the events while batch n of the latest objects is being stored.
func (p *pair) publish(ctx context.Context, nc *nats.Conn, size int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stored := make(chan int, 1)
	done := make(chan error, 1)
	go func() {
		for at := range stored {
			if err := batch(ctx, nc, p.latest[at:min(at+size, len(p.latest))]); err != nil {
				cancel(err)
				done <- err
				return
			}
		}
		done <- nil
	}()
	for at := 0; at < len(p.events) && ctx.Err() == nil; at += size {
		if err := batch(ctx, nc, p.events[at:min(at+size, len(p.events))]); err != nil {
			cancel(err)
			break
		}
		select {
		case stored <- at:
		case <-ctx.Done():
		}
	}
	close(stored)
	if err := <-done; err != nil {
		return err
	}
	return context.Cause(ctx)
}

// batch publishes an atomic batch and waits until it is durable.
func batch(ctx context.Context, nc *nats.Conn, msgs []*nats.Msg) error {
	id := nats.NewInbox()[7:]
	for i, m := range msgs {
		m.Header["Nats-Batch-Id"] = []string{id}
		m.Header["Nats-Batch-Sequence"] = []string{fmt.Sprint(i + 1)}
		delete(m.Header, "Nats-Batch-Commit")
		if i < len(msgs)-1 {
			if err := nc.PublishMsg(m); err != nil {
				return err
			}
			continue
		}
		m.Header["Nats-Batch-Commit"] = []string{"1"}
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		r, err := nc.RequestMsgWithContext(ctx, m)
		if err != nil {
			return err
		}
		var ack struct {
			Count int             `json:"count"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(r.Data, &ack); err != nil || ack.Error != nil || ack.Count != len(msgs) && len(msgs) > 1 {
			return fmt.Errorf("a bare batch of %d was answered with %s", len(msgs), r.Data)
		}
	}
	return nil
}
