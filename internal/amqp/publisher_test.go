package amqp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/exec.(*Cmd).Wait"), goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"), goleak.IgnoreAnyFunction("os.(*Process).Wait"))
}

const (
	exchange = "amqp.worker.exchange"
	queue    = "push_1"
	key      = "push_routing_1"
)

// broker is a real RabbitMQ with one exchange, queue and binding as the platform makes them.
type broker struct {
	testpeer.Rabbit
	t    *testing.T
	conn *amqp091.Connection
	ch   *amqp091.Channel
}

func start(t *testing.T) *broker {
	r := testpeer.RabbitMQ(t)
	conn, err := amqp091.Dial(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{Rabbit: r, t: t, conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	b.channel()
	b.must(b.ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil))
	_, err = b.ch.QueueDeclare(queue, true, false, false, false, amqp091.Table{"x-queue-type": "classic", "name": "Acme"})
	b.must(err)
	b.must(b.ch.QueueBind(queue, key, exchange, false, nil))
	return b
}

func (b *broker) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *broker) channel() {
	if b.conn.IsClosed() {
		conn, err := amqp091.Dial(b.URL)
		b.must(err)
		b.conn = conn
		b.t.Cleanup(func() { _ = conn.Close() })
	}
	ch, err := b.conn.Channel()
	b.must(err)
	b.ch = ch
}

// publisher ends with the test.
func (b *broker) publisher(change ...func(*Config)) *Publisher {
	c := Config{Host: b.Host, Port: b.Port, VHost: b.VHost, User: b.User, Password: b.Password, Exchange: exchange, Key: key, Name: "test"}
	for _, f := range change {
		f(&c)
	}
	p := New(c)
	b.t.Cleanup(func() { _ = p.Close() })
	return p
}

// connection waits until the management API knows the open connection of that name, and returns the API's own name for it.
func (b *broker) connection(name string) string {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var open []struct {
			Name       string         `json:"name"`
			Properties map[string]any `json:"client_properties"`
		}
		b.must(b.API("GET", "/api/vhosts/"+b.VHost+"/connections", nil, &open))
		for _, c := range open {
			if c.Properties["connection_name"] == name {
				return c.Name
			}
		}
	}
	b.t.Fatalf("no connection named %s", name)
	return ""
}

// drain reads what is in the queue: message ids in order.
func (b *broker) drain() (ids []string) {
	b.t.Helper()
	b.channel()
	defer b.channel() // the consumer ends with its channel
	q, err := b.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	b.must(err)
	in, err := b.ch.Consume(queue, "", true, false, false, false, nil)
	b.must(err)
	for range q.Messages {
		d, ok := <-in
		if !ok {
			b.t.Fatalf("the connection ended after %d of %d messages", len(ids), q.Messages)
		}
		ids = append(ids, d.MessageId)
	}
	b.must(b.ch.Close())
	return ids
}

func batch(prefix string, n, size int) []Message {
	out := make([]Message, n)
	for i := range out {
		out[i] = Message{ID: fmt.Sprintf("%s-%d", prefix, i), Body: []byte(strings.Repeat("x", size))}
	}
	return out
}

// missing lists the messages that are not among ids.
func missing(msgs []Message, ids []string) (out []string) {
	have := map[string]bool{}
	for _, id := range ids {
		have[id] = true
	}
	for _, m := range msgs {
		if !have[m.ID] {
			out = append(out, m.ID)
		}
	}
	return out
}

func TestPublishStoresMessagesInOrderAsThePlatformWantsThem(t *testing.T) {
	b := start(t)
	p := b.publisher()
	msgs := batch("m", 1000, 500)
	if err := p.Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	d, ok, err := b.ch.Get(queue, true)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if d.MessageId != "m-0" || d.ContentEncoding != "utf-8" || d.DeliveryMode != 2 || d.ContentType != "" || len(d.Headers) != 0 || d.Exchange != exchange || d.RoutingKey != key {
		t.Errorf("delivery %+v", d)
	}
	ids := b.drain()
	if len(ids) != 999 {
		t.Fatalf("%d messages in the queue", len(ids))
	}
	for i, id := range ids {
		if id != msgs[i+1].ID {
			t.Fatalf("message %d is %s", i, id)
		}
	}
	if c := p.Counts(); c.Confirmed != 1000 || c.Published != 1000 || c.Connections != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestAnUnroutableMessageIsAFailureThoughItWasConfirmed(t *testing.T) {
	b := start(t)
	p := b.publisher()
	if err := p.Publish(t.Context(), batch("a", 10, 10)); err != nil {
		t.Fatal(err)
	}
	b.must(b.ch.QueueUnbind(queue, key, exchange, nil))
	err := p.Publish(t.Context(), batch("b", 300, 10))
	var failed *Failed
	var unroutable *UnroutableError
	if !errors.As(err, &failed) || len(failed.Errors) != 300 || !errors.As(err, &unroutable) {
		t.Fatalf("got %v", err)
	}
	b.must(b.ch.QueueBind(queue, key, exchange, false, nil))
	if err := p.Publish(t.Context(), batch("b", 300, 10)); err != nil {
		t.Fatal(err)
	}
	if c := p.Counts(); c.Returned != 300 || c.Confirmed != 310 || c.Connections != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestAMissingExchangeIsSaidAndNothingIsDeclared(t *testing.T) {
	b := start(t)
	p := b.publisher()
	if err := p.Publish(t.Context(), batch("a", 1, 10)); err != nil {
		t.Fatal(err)
	}
	b.must(b.ch.ExchangeDelete(exchange, false, false))
	var gone *MissingError
	if err := p.Publish(t.Context(), batch("b", 10, 10)); !errors.As(err, &gone) {
		t.Fatalf("while connected: %v", err)
	}
	if err := p.Publish(t.Context(), batch("b", 10, 10)); !errors.As(err, &gone) {
		t.Fatalf("at the next connection: %v", err)
	}
	b.must(b.ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil))
	b.must(b.ch.QueueBind(queue, key, exchange, false, nil))
	if err := p.Publish(t.Context(), batch("b", 10, 10)); err != nil {
		t.Fatalf("after it is back: %v", err)
	}
}

func TestCheckIsPassive(t *testing.T) {
	b := start(t)
	p := b.publisher()
	if err := p.Publish(t.Context(), batch("a", 7, 10)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Check(t.Context(), queue); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	var gone *MissingError
	if _, err := p.Check(t.Context(), "push_none"); !errors.As(err, &gone) {
		t.Errorf("an absent queue: %v", err)
	}
	if err := p.Publish(t.Context(), batch("b", 1, 10)); err != nil || p.Counts().Connections != 1 {
		t.Errorf("after it: %v, %+v", err, p.Counts())
	}
}

func TestConnectionsKilledInTheMiddleLoseNothing(t *testing.T) {
	b := start(t)
	p := b.publisher()
	msgs := batch("m", 20_000, 200)
	kills := 0
	for len(msgs) > 0 && kills < 3 {
		if err := p.Publish(t.Context(), batch("warm", 1, 1)); err != nil { // a connection that the management API gets to know
			t.Fatal(err)
		}
		name := b.connection("test")
		done := make(chan error, 1)
		go func() { done <- p.Publish(t.Context(), msgs) }()
		time.Sleep(100 * time.Millisecond) // somewhere in the middle
		if err := b.API("DELETE", "/api/connections/"+url.PathEscape(name), nil, nil); err == nil {
			kills++
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if kills == 0 || p.Counts().Connections < 2 {
		t.Fatalf("no connection was killed in time: %+v", p.Counts())
	}
	ids := b.drain()
	if gone := missing(msgs, ids); len(gone) > 0 {
		t.Errorf("%d messages lost, the first %s", len(gone), gone[0])
	}
	extra := len(ids) - 3*len(msgs) - 3
	if limit := int(p.Counts().Connections) * DefaultWindow; extra > limit {
		t.Errorf("%d messages twice, more than the windows of %d connections", extra, p.Counts().Connections)
	}
	t.Logf("%d kills, %d connections, %d of %d published twice", kills, p.Counts().Connections, extra, 3*len(msgs))
}

// proxy cuts connections after so many bytes towards the broker.
type proxy struct {
	net.Listener
	target string
	mu     sync.Mutex
	cut    []int // for each connection; none left: no cut
	wg     sync.WaitGroup
}

func newProxy(t *testing.T, target string, cut ...int) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, target: target, cut: cut}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.wg.Wait() })
	return p
}

func (p *proxy) serve(c *net.TCPConn) {
	limit := int64(-1)
	p.mu.Lock()
	if len(p.cut) > 0 {
		limit, p.cut = int64(p.cut[0]), p.cut[1:]
	}
	p.mu.Unlock()
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = c.Close()
		return
	}
	p.wg.Go(func() { _, _ = io.Copy(c, up); _ = c.Close() })
	if limit >= 0 {
		_, _ = io.CopyN(up, c, limit)
		_ = c.SetLinger(0) // a reset, not an end
	} else {
		_, _ = io.Copy(up, c)
	}
	_ = c.Close()
	_ = up.Close()
}

func TestResetConnectionsLoseNothing(t *testing.T) {
	b := start(t)
	px := newProxy(t, fmt.Sprintf("%s:%d", b.Host, b.Port), 300, 1500, 20_000, 123_456, 1_000_000)
	p := b.publisher(func(c *Config) {
		c.Host, c.Port = "127.0.0.1", px.Addr().(*net.TCPAddr).Port
		c.Patience = 20 * time.Second
	})
	msgs := batch("m", 5000, 1000)
	if err := p.Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	if gone := missing(msgs, b.drain()); len(gone) > 0 {
		t.Errorf("%d messages lost, the first %s", len(gone), gone[0])
	}
	if c := p.Counts(); c.Connections < 4 {
		t.Errorf("counts %+v", c)
	}
	_ = p.Close()
}

func TestABlockedBrokerIsSeenAndNothingIsSentTwice(t *testing.T) {
	b := start(t)
	p := b.publisher(func(c *Config) { c.Patience = 300 * time.Millisecond })
	if err := p.Publish(t.Context(), batch("a", 1, 10)); err != nil {
		t.Fatal(err)
	}
	unblock := b.Block(t)
	msgs := batch("b", 600, 20_000)
	var blocked *BlockedError
	var failed *Failed
	err := p.Publish(t.Context(), msgs)
	if !errors.As(err, &blocked) || !errors.As(err, &failed) || len(failed.Errors) != 600 {
		t.Fatalf("got %v", err)
	}
	if p.Blocked() == "" {
		t.Error("Blocked says nothing")
	}
	if err := p.Publish(t.Context(), msgs); !errors.As(err, &blocked) {
		t.Fatalf("still blocked: %v", err)
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, msgs); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
		t.Errorf("a call is not given up when its context ends: %v after %v", err, time.Since(begin))
	}
	unblock()
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); {
		err = p.Publish(t.Context(), msgs)
	}
	if err != nil {
		t.Fatal(err)
	}
	ids := b.drain()
	if gone := missing(msgs, ids); len(gone) > 0 || len(ids) != 601 {
		t.Errorf("%d messages in the queue, %d missing", len(ids), len(gone))
	}
	if p.Blocked() != "" {
		t.Error("Blocked still says", p.Blocked())
	}
}

func TestCloseDoesNotWaitForABlockedBroker(t *testing.T) {
	b := start(t)
	p := b.publisher()
	if err := p.Publish(t.Context(), batch("a", 1, 10)); err != nil {
		t.Fatal(err)
	}
	b.Block(t)
	done := make(chan error, 1)
	go func() { done <- p.Publish(t.Context(), batch("b", 50, 1<<20)) }()
	for deadline := time.Now().Add(20 * time.Second); p.Blocked() == "" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	begin := time.Now()
	_ = p.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("Publish: %v", err)
	}
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("Close took %v", d)
	}
}

func TestWrongCredentialsAreRefused(t *testing.T) {
	b := start(t)
	for name, change := range map[string]func(*Config){"password": func(c *Config) { c.Password = "no" }, "virtual host": func(c *Config) { c.VHost = "no" }} {
		var refused *RefusedError
		if err := b.publisher(change).Publish(t.Context(), batch("a", 1, 1)); !errors.As(err, &refused) || strings.Contains(err.Error(), "guest:") {
			t.Errorf("wrong %s: %v", name, err)
		}
	}
}

func TestTLSIsVerified(t *testing.T) {
	b := start(t)
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, which is for 127.0.0.1
	defer web.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	b.must(err)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.Close()
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", net.JoinHostPort(b.Host, strconv.Itoa(b.Port)))
			if err != nil {
				_ = c.Close()
				return
			}
			wg.Go(func() { _, _ = io.Copy(up, c); _ = up.Close() })
			wg.Go(func() { _, _ = io.Copy(c, up); _ = c.Close() })
		}
	})
	through := func(conf *tls.Config) func(*Config) {
		return func(c *Config) {
			c.Port, c.TLS, c.Patience = l.Addr().(*net.TCPAddr).Port, conf, 100*time.Millisecond
		}
	}
	known := x509.NewCertPool()
	known.AddCert(web.Certificate())
	p := b.publisher(through(&tls.Config{RootCAs: known, ServerName: "127.0.0.1"}))
	if err := p.Publish(t.Context(), batch("a", 3, 10)); err != nil {
		t.Error(err)
	}
	_ = p.Close()
	if err := b.publisher(through(&tls.Config{ServerName: "127.0.0.1"})).Publish(t.Context(), batch("b", 1, 10)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
}

func TestAnAbsentBrokerIsGivenUpAfterPatience(t *testing.T) {
	p := New(Config{Host: "127.0.0.1", Port: 1, Exchange: exchange, Key: key, Patience: 300 * time.Millisecond})
	begin := time.Now()
	err := p.Publish(t.Context(), batch("a", 2, 1))
	var failed *Failed
	if !errors.As(err, &failed) || len(failed.Errors) != 2 || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	_ = p.Close()
	if err := p.Publish(t.Context(), batch("a", 2, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAMessageOverTheBrokersLimitDoesNotTakeOthersWithIt(t *testing.T) {
	if testing.Short() {
		t.Skip("130 MiB")
	}
	b := start(t)
	p := b.publisher()
	msgs := batch("m", 20, 100)
	msgs[7].Body = make([]byte, 130<<20)
	// The broker closes the channel over it. What was on its way then may be unknown and is published again, as every caller does; the
	// large one is told apart, and nothing else is lost.
	var large *TooLargeError
	for todo := msgs; len(todo) > 0; {
		err := p.Publish(t.Context(), todo)
		var failed *Failed
		if err != nil && !errors.As(err, &failed) {
			t.Fatalf("got %v", err)
		}
		var again []Message
		for i, m := range todo {
			switch {
			case failed == nil || failed.Errors[i] == nil:
			case errors.As(failed.Errors[i], &large):
				if m.ID != "m-7" || large.Size != 130<<20 {
					t.Fatalf("%s: got %v", m.ID, failed.Errors[i])
				}
			default:
				again = append(again, m)
			}
		}
		todo = again
	}
	if large == nil {
		t.Error("the large message is not told apart")
	}
	if gone := missing(msgs, b.drain()); len(gone) != 1 || gone[0] != "m-7" {
		t.Errorf("missing %v", gone)
	}
}

func TestManyCallsShareTheWindow(t *testing.T) {
	b := start(t)
	p := b.publisher(func(c *Config) { c.Window, c.Bytes = 10, 5000 })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := p.Publish(t.Context(), batch(fmt.Sprint("c", i), 200, 1000)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(b.drain()); n != 1600 {
		t.Errorf("%d messages", n)
	}
}
