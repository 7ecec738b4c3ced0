package amqp

import (
	"fmt"
	"testing"

	"github.com/rabbitmq/amqp091-go"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// BenchmarkPublish compares with the library alone, in the same run and with the same bytes: window 256, persistent, mandatory.
func BenchmarkPublish(b *testing.B) {
	r := testpeer.RabbitMQ(b)
	conn, err := amqp091.Dial(r.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	if err := ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil); err != nil {
		b.Fatal(err)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		b.Fatal(err)
	}
	if err := ch.QueueBind(queue, key, exchange, false, nil); err != nil {
		b.Fatal(err)
	}
	const n = 20_000
	msgs := batch("m", n, 1400)
	bare := func() {
		ch, err := conn.Channel()
		if err != nil {
			b.Fatal(err)
		}
		defer ch.Close()
		if err := ch.Confirm(false); err != nil {
			b.Fatal(err)
		}
		var window []*amqp091.DeferredConfirmation
		for _, m := range msgs {
			if len(window) == DefaultWindow {
				window[0].Wait()
				window = window[1:]
			}
			dc, err := ch.PublishWithDeferredConfirm(exchange, key, true, false, amqp091.Publishing{MessageId: m.ID, DeliveryMode: amqp091.Persistent, Body: m.Body})
			if err != nil {
				b.Fatal(err)
			}
			window = append(window, dc)
		}
		for _, dc := range window {
			dc.Wait()
		}
	}
	p := New(Config{Host: r.Host, Port: r.Port, VHost: r.VHost, User: r.User, Password: r.Password, Exchange: exchange, Key: key})
	defer p.Close()
	ours := func() {
		for i := 0; i < n; i += 256 {
			if err := p.Publish(b.Context(), msgs[i:min(i+256, n)]); err != nil {
				b.Fatal(err)
			}
		}
	}
	whole := func() {
		if err := p.Publish(b.Context(), msgs); err != nil {
			b.Fatal(err)
		}
	}
	for _, way := range []struct {
		name string
		run  func()
	}{{"library alone", bare}, {"one call", whole}, {"calls of 256", ours}} {
		b.Run(fmt.Sprint(way.name), func(b *testing.B) {
			for b.Loop() {
				way.run()
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msg/s")
			_, _ = ch.QueuePurge(queue, false)
		})
	}
}
