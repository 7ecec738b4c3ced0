package opencti

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

// BenchmarkDeliver compares with a bare publisher of the same messages in the same run.
func BenchmarkDeliver(b *testing.B) {
	r := testpeer.RabbitMQ(b)
	p := octitest.New(b, octitest.Options{Broker: octitest.Broker{Host: r.Host, Port: r.Port, VHost: r.VHost, User: r.User, Password: r.Password}})
	made, err := newSink(Config{URL: p.URL, Token: bridge.Secret(p.Token), QueueProtocol: "amqp", QueueThreshold: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	s := made.(*sink)
	b.Cleanup(func() { _ = s.Close() })
	env := new(bridgetest.Vault).Env("bench", b.TempDir(), nil)
	env.Log = slog.New(slog.DiscardHandler)
	if err := s.Start(b.Context(), env); err != nil {
		b.Fatal(err)
	}
	const n = 10_000
	var events []bridge.Event
	for i := range n {
		o, err := stix.Parse(fmt.Appendf(nil, `{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-0000-4000-8000-000000000000","created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"i%d","pattern":"[url:value='x%d']","pattern_type":"stix","valid_from":"2026-11-20T10:00:00.000Z","description":%q}`, i, i, i, strings.Repeat("d", 600)))
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, bridgetest.NewEvent(uint64(i+1), bridge.Create, o))
	}
	conn, err := amqp091.Dial(r.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	var bodies []amqp091.Publishing
	b.Run("sink", func(b *testing.B) {
		for b.Loop() {
			for i := 0; i < n; i += Plugin.Traits.Batch.Events {
				if err := s.Deliver(b.Context(), events[i:min(i+Plugin.Traits.Batch.Events, n)]); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "objects/s")
	})
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	queue := "push_" + s.session.id
	for len(bodies) < n {
		d, ok, err := ch.Get(queue, true)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		bodies = append(bodies, amqp091.Publishing{MessageId: d.MessageId, DeliveryMode: 2, ContentEncoding: "utf-8", Body: d.Body})
	}
	_, _ = ch.QueuePurge(queue, false)
	b.Run("bare publisher", func(b *testing.B) {
		for b.Loop() {
			ch, err := conn.Channel()
			if err != nil {
				b.Fatal(err)
			}
			if err := ch.Confirm(false); err != nil {
				b.Fatal(err)
			}
			var window []*amqp091.DeferredConfirmation
			for _, m := range bodies {
				if len(window) == 256 {
					window[0].Wait()
					window = window[1:]
				}
				dc, err := ch.PublishWithDeferredConfirm("amqp.worker.exchange", "push_routing_"+s.session.id, true, false, m)
				if err != nil {
					b.Fatal(err)
				}
				window = append(window, dc)
			}
			for _, dc := range window {
				dc.Wait()
			}
			_ = ch.Close()
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "objects/s")
	})
}

func TestConcurrentDeliveriesAreSafe(t *testing.T) {
	g := amqpRig(t)
	g.work()
	author := identity(t, 1)
	g.asserts("feed", author)
	g.s.workSize = 40
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				o, err := stix.Parse(indicator(t, 100*w+i, fmt.Sprintf(`,"created_by_ref":%q`, author.ID())).Raw())
				if err != nil {
					t.Error(err)
				}
				if err := g.s.Deliver(t.Context(), []bridge.Event{bridgetest.NewEvent(uint64(1000*w+i+1), bridge.Create, o)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	g.p.Await("all are imported", func() bool { return len(g.p.IDs()) == 161 })
	for _, i := range g.p.Imports() {
		if i.Error != "" {
			t.Errorf("%s: %s", i.ID, i.Error)
		}
	}
	time.Sleep(400 * time.Millisecond) // the last work is over
	g.p.Await("all works are complete", func() bool { return g.s.Report()["works_open"] == 0 })
	for _, w := range g.p.Works() {
		if w.Expected != w.Done {
			t.Errorf("work %+v", w)
		}
	}
}
