package testpeer

import (
	"context"
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestRabbitConfirmsWhatIsPublishedAndKeepsVirtualHostsApart(t *testing.T) {
	first, second := RabbitMQ(t), RabbitMQ(t)
	if first.Port != second.Port {
		t.Errorf("two brokers in one process: ports %d and %d", first.Port, second.Port)
	}
	conn := dial(t, first)
	ch := channel(t, conn)
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "q", true, false,
		amqp.Publishing{Body: []byte("hello"), DeliveryMode: amqp.Persistent})
	if err != nil {
		t.Fatal(err)
	}
	if acked, err := confirm.WaitContext(ctx); err != nil || !acked {
		t.Fatalf("confirmed %v, %v", acked, err)
	}
	if got, ok, err := ch.Get("q", true); err != nil || !ok || string(got.Body) != "hello" {
		t.Errorf("got %q, %v, %v", got.Body, ok, err)
	}

	if _, err := channel(t, dial(t, second)).QueueDeclarePassive("q", true, false, false, false, nil); err == nil {
		t.Error("the queue of one virtual host is seen in the other")
	}
}

func TestRabbitBlocksPublishersUntilUnblocked(t *testing.T) {
	r := RabbitMQ(t)
	conn := dial(t, r)
	ch := channel(t, conn)
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 4))
	unblock := r.Block(t)
	if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp.Publishing{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		select {
		case b := <-blocked:
			if b.Active != want {
				t.Fatalf("blocked %v, want %v", b.Active, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no notice with blocked = %v", want)
		}
		unblock()
	}
}

func TestRabbitDisconnectClosesTheConnections(t *testing.T) {
	r := RabbitMQ(t)
	conn := dial(t, r)
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	if n := r.Disconnect(t); n != 1 {
		t.Errorf("closed %d connections, want 1", n)
	}
	select {
	case err := <-closed:
		if err == nil || err.Code != amqp.ConnectionForced {
			t.Errorf("closed with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}

func dial(t *testing.T, r Rabbit) *amqp.Connection {
	t.Helper()
	conn, err := amqp.Dial(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil && !errors.Is(err, amqp.ErrClosed) {
			t.Error(err)
		}
	})
	return conn
}

func channel(t *testing.T, conn *amqp.Connection) *amqp.Channel {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}
