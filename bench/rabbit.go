package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/consumers"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// toRabbit compares the way from the log into the queue of an OpenCTI platform, every message confirmed by RabbitMQ, with a bare client
// that publishes the same bodies to the same exchange with a window of 256 messages. The platform is a stand-in, RabbitMQ is real.
func toRabbit(ctx context.Context, b *bench) error {
	const name = "log → RabbitMQ"
	if !slices.ContainsFunc(consumers.Sinks(), func(p bridge.Plugin[bridge.Sink]) bool { return p.Kind == "opencti" }) {
		b.add(result{Name: name, Target: "≥ 0.60", Skipped: "this build has no consumer of kind opencti"})
		return nil
	}
	var (
		rabbit   testpeer.Rabbit
		platform *octitest.Platform
	)
	why, err := b.host.lend(func() {
		rabbit = testpeer.RabbitMQ(&b.host)
		platform = octitest.New(&b.host, octitest.Options{Broker: octitest.Broker{Host: rabbit.Host, Port: rabbit.Port, VHost: rabbit.VHost, User: rabbit.User, Password: rabbit.Password}})
	})
	if err != nil {
		return err
	}
	if why != "" {
		b.add(result{Name: name, Target: "≥ 0.60", Skipped: why})
		return nil
	}
	c, err := b.corpus()
	if err != nil {
		return err
	}
	dir, err := b.filled(ctx)
	if err != nil {
		return err
	}
	flat := &corpus{path: filepath.Join(b.tmp, "indicators.jsonl")}
	if err := indicators(flat.path, min(b.n, 20_000)); err != nil {
		return err
	}
	if err := flat.count(); err != nil {
		return err
	}
	flatDir, err := b.fill(ctx, flat)
	if err != nil {
		return err
	}
	if err := b.queueing(ctx, name+", indicators", platform, rabbit, flatDir, flat); err != nil {
		return err
	}
	return b.queueing(ctx, name+", corpus", platform, rabbit, dir, c)
}

// queueing is the comparison for one store. Objects of types that the platform does not take make events without a message, and a message
// may carry what its object needs: so messages are counted, and what they cost includes the events without one.
func (b *bench) queueing(ctx context.Context, name string, p *octitest.Platform, rabbit testpeer.Rabbit, dir string, c *corpus) error {
	var ours, bare side
	sent := 0
	for range b.runs {
		// A connector of its own for each run: another queue, and no memory of what was sent.
		b.connectors++
		err := b.delivering(ctx, "rabbitmq", dir, fmt.Sprintf("to-opencti-%d", b.connectors),
			fmt.Sprintf("kind: opencti, url: %q, token: %q, queue_threshold: 64GB", p.URL, p.Token), c.objects, &ours)
		if err != nil {
			return err
		}
		q, err := emptied(ctx, rabbit)
		if err != nil {
			return err
		}
		sent = len(q.bodies)
		s, err := clock(func() error { return q.publish(ctx, rabbit) })
		if err != nil {
			return err
		}
		bare = append(bare, s)
		if err := q.purge(rabbit); err != nil {
			return err
		}
	}
	b.say("%s: %d messages for %d events", name, sent, c.objects)
	b.compare(name, "a bare publisher", sent, ours, bare, 0.6)
	return nil
}

// indicators writes n of about 1 KB each.
func indicators(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	const day = "2026-01-01T00:00:00.000Z"
	for i := range n {
		fmt.Fprintf(w, `{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-5e39-4b48-9354-fe4a7084f000","created":"%s","modified":"%s","name":"host %d","description":"%s","pattern":"[domain-name:value = 'host-%d.example']","pattern_type":"stix","valid_from":"%s"}`+"\n",
			i, day, day, i, strings.Repeat("seen in the wild; ", 35), i, day)
	}
	return errors.Join(w.Flush(), f.Close())
}

// queue is where a sink's messages went, and what they were.
type queue struct {
	name, exchange, key string
	bodies              [][]byte
}

func dial(r testpeer.Rabbit) (*amqp091.Connection, *amqp091.Channel, error) {
	u := url.URL{Scheme: "amqp", User: url.UserPassword(r.User, r.Password), Host: fmt.Sprintf("%s:%d", r.Host, r.Port), Path: "/" + r.VHost}
	conn, err := amqp091.Dial(u.String())
	if err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		conn.Close()
	}
	return conn, ch, err
}

// emptied finds the queue that holds messages and takes them all out.
func emptied(ctx context.Context, r testpeer.Rabbit) (*queue, error) {
	var names []struct{ Name string }
	if err := r.API("GET", "/api/queues/"+r.VHost, nil, &names); err != nil {
		return nil, err
	}
	conn, ch, err := dial(r)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var q *queue
	for _, n := range names {
		//lint:ignore SA1019 a passive declaration would have to know the queue's arguments
		state, err := ch.QueueInspect(n.Name)
		if err != nil {
			return nil, err
		}
		if state.Messages == 0 {
			continue
		}
		q = &queue{name: n.Name}
		if err := q.take(ctx, ch, state.Messages); err != nil {
			return nil, err
		}
	}
	if q == nil {
		return nil, fmt.Errorf("no queue holds a message")
	}
	return q, nil
}

func (q *queue) take(ctx context.Context, ch *amqp091.Channel, n int) error {
	if err := ch.Qos(1000, 0, false); err != nil {
		return err
	}
	in, err := ch.Consume(q.name, "bench", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for len(q.bodies) < n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Second):
			return fmt.Errorf("queue %s: %d messages of %d came", q.name, len(q.bodies), n)
		case d, ok := <-in:
			if !ok {
				return fmt.Errorf("queue %s: closed after %d messages of %d", q.name, len(q.bodies), n)
			}
			q.exchange, q.key = d.Exchange, d.RoutingKey
			q.bodies = append(q.bodies, d.Body)
			if len(q.bodies)%500 == 0 || len(q.bodies) == n {
				if err := d.Ack(true); err != nil {
					return err
				}
			}
		}
	}
	return ch.Cancel("bench", false)
}

func (q *queue) purge(r testpeer.Rabbit) error {
	conn, ch, err := dial(r)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = ch.QueuePurge(q.name, false)
	return err
}

// window is how many messages the bare publisher leaves unconfirmed.
const window = 256

// publish sends all bodies and returns when the broker has confirmed the last.
func (q *queue) publish(ctx context.Context, r testpeer.Rabbit) error {
	conn, ch, err := dial(r)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirmed := ch.NotifyPublish(make(chan amqp091.Confirmation, window))
	settle := func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-confirmed:
			if !ok || !c.Ack {
				return fmt.Errorf("the broker did not confirm a bare message")
			}
			return nil
		}
	}
	for i, body := range q.bodies {
		if i >= window {
			if err := settle(); err != nil {
				return err
			}
		}
		if err := ch.PublishWithContext(ctx, q.exchange, q.key, true, false, amqp091.Publishing{DeliveryMode: amqp091.Persistent, ContentType: "application/json", Body: body}); err != nil {
			return err
		}
	}
	for range min(window, len(q.bodies)) {
		if err := settle(); err != nil {
			return err
		}
	}
	return nil
}
