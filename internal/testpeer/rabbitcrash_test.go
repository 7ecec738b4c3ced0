package testpeer

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestRabbitKeepsWhatItConfirmedOverACrash(t *testing.T) {
	r := RabbitMQ(t)
	ch := channel(t, dial(t, r))
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "q", true, false, amqp.Publishing{Body: []byte("hello"), DeliveryMode: amqp.Persistent})
	if err != nil {
		t.Fatal(err)
	}
	if acked, err := confirm.WaitContext(ctx); err != nil || !acked {
		t.Fatalf("confirmed %v, %v", acked, err)
	}
	pid := r.Pid(t)
	r.Crash(t, pid)
	if _, err := amqp.Dial(r.URL); err == nil {
		t.Error("a broker that was killed answers")
	}
	r.Restart(t)
	if again := r.Pid(t); again == pid {
		t.Errorf("the broker's process is still %d", again)
	}
	if got, ok, err := channel(t, dial(t, r)).Get("q", true); err != nil || !ok || string(got.Body) != "hello" {
		t.Errorf("after the crash: %q, %v, %v", got.Body, ok, err)
	}
}
