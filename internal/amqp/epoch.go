package amqp

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/semaphore"
)

const (
	heartbeat   = 10 * time.Second
	dialTimeout = 10 * time.Second
	closeWait   = 2 * time.Second
)

// epoch is one connection with its channel in confirm mode. It ends for good with the first error.
type epoch struct {
	p    *Publisher
	raw  net.Conn
	conn *amqp091.Connection
	ch   *amqp091.Channel

	queue   chan *slot // to the writer; as large as the window, so that handing over never blocks
	await   chan *slot // from the writer to the resolver; as large as the window
	returns chan amqp091.Return
	done    chan struct{} // closed at the end
	wg      sync.WaitGroup

	mu      sync.Mutex
	err     error
	back    map[string]bool // messages that the broker returned, until they are settled
	blocked string
	silent  string        // what a caller gave up for while the broker said nothing
	open    int           // messages handed over and not settled
	moved   time.Time     // when a message was last settled, or put into an empty window
	change  chan struct{} // closed and replaced when blocked changes
}

// begin connects, checks passively that the exchange is there, and puts the channel into confirm mode before anything is published.
func begin(ctx context.Context, p *Publisher) (*epoch, error) {
	e := &epoch{
		p: p, queue: make(chan *slot, p.c.Window), await: make(chan *slot, p.c.Window),
		returns: make(chan amqp091.Return, p.c.Window+1), // each return is taken before its message leaves the window
		done:    make(chan struct{}), change: make(chan struct{}), back: map[string]bool{},
	}
	uri := amqp091.URI{Scheme: "amqp", Host: p.c.Host, Port: p.c.Port, Username: p.c.User, Password: p.c.Password, Vhost: p.c.VHost}
	if p.c.TLS != nil {
		uri.Scheme = "amqps"
	}
	props := amqp091.NewConnectionProperties()
	props.SetClientConnectionName(p.c.Name)
	conn, err := amqp091.DialConfig(uri.String(), amqp091.Config{
		Heartbeat: heartbeat, TLSClientConfig: p.c.TLS, Properties: props, Recovery: nil, Vhost: p.c.VHost,
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTimeout}
			c, err := d.DialContext(ctx, network, addr)
			if err == nil {
				e.raw = c
				err = c.SetDeadline(time.Now().Add(dialTimeout)) // of the handshake; the library lifts it
			}
			return c, err
		},
	})
	if err != nil {
		if e.raw != nil {
			_ = e.raw.Close()
		}
		return nil, classify(err)
	}
	e.conn = conn
	if err := e.setup(); err != nil {
		e.hangUp()
		return nil, classify(err)
	}
	e.wg.Go(e.write)
	e.wg.Go(e.resolve)
	return e, nil
}

func (e *epoch) setup() error {
	if e.p.c.Exchange != "" {
		check, err := e.conn.Channel()
		if err != nil {
			return err
		}
		if err := check.ExchangeDeclarePassive(e.p.c.Exchange, amqp091.ExchangeDirect, true, false, false, false, nil); err != nil {
			return err
		}
		if err := check.Close(); err != nil {
			return err
		}
	}
	ch, err := e.conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	e.ch = ch
	ch.NotifyReturn(e.returns)
	lost := ch.NotifyClose(make(chan *amqp091.Error, 1))
	gone := e.conn.NotifyClose(make(chan *amqp091.Error, 1))
	blocks := e.conn.NotifyBlocked(make(chan amqp091.Blocking, 8))
	e.wg.Go(func() {
		for {
			select {
			case err := <-lost:
				e.closed(err)
				return
			case err := <-gone:
				e.closed(err)
				return
			case b, ok := <-blocks:
				if !ok {
					blocks = nil
					continue
				}
				e.setBlocked(b)
			}
		}
	})
	return nil
}

// check asks passively on a channel of its own, because a no closes the channel.
func (e *epoch) check(ctx context.Context, exchange, queue string) (int, error) {
	type answer struct {
		n   int
		err error
	}
	got := make(chan answer, 1)
	e.wg.Go(func() {
		ch, err := e.conn.Channel()
		if err != nil {
			got <- answer{0, err}
			return
		}
		defer ch.Close()
		if err := ch.ExchangeDeclarePassive(exchange, amqp091.ExchangeDirect, true, false, false, false, nil); err != nil || queue == "" {
			got <- answer{0, err}
			return
		}
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		got <- answer{q.Messages, err}
	})
	select {
	case a := <-got:
		return a.n, classify(a.err)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-e.done:
		return 0, e.lost()
	}
}

// write publishes one message after the other. A write can block for as long as the broker does not read; nobody waits for
// this goroutine but the end of the epoch, which closes the connection under it.
func (e *epoch) write() {
	for {
		select {
		case <-e.done:
			return
		case s := <-e.queue:
			dc, err := e.ch.PublishWithDeferredConfirm(e.p.c.Exchange, e.p.c.Key, true, false, amqp091.Publishing{
				MessageId: s.msg.ID, ContentEncoding: "utf-8", DeliveryMode: amqp091.Persistent, Body: s.msg.Body,
			})
			if err != nil {
				e.p.settle(s, lost)
				e.end(err)
				return
			}
			s.dc = dc
			e.p.count(func(c *Counts) { c.Published++ })
			e.await <- s
			if e.over() { // the resolver may have left
				e.drain()
			}
		}
	}
}

// resolve settles messages in the order they were written.
func (e *epoch) resolve() {
	for {
		select {
		case s := <-e.await:
			select {
			case <-s.dc.Done():
			case <-e.done: // a message that was written while the library shut down is never answered
			}
			e.settle(s)
		case <-e.done:
			e.drain()
			return
		}
	}
}

// settle tells what became of a message that was written. The library hands over a return before the confirmation of the same
// message, so that all returns are known when a confirmation is.
func (e *epoch) settle(s *slot) {
	e.mu.Lock()
	for taking := true; taking; {
		select {
		case r, ok := <-e.returns:
			if taking = ok; ok {
				e.back[r.MessageId] = true
			}
		default:
			taking = false
		}
	}
	back := e.back[s.msg.ID]
	delete(e.back, s.msg.ID)
	e.moved = time.Now()
	e.open--
	e.silent = ""
	e.mu.Unlock()
	switch {
	case back:
		e.p.settle(s, returned)
	case s.dc.Acked():
		e.p.settle(s, confirmed)
	case e.over() || e.conn.IsClosed() || e.ch.IsClosed():
		e.p.settle(s, lost)
	default:
		e.p.settle(s, nacked)
	}
}

// drain settles what an epoch that is over still holds. Whoever puts a message in afterwards calls it again.
func (e *epoch) drain() {
	for {
		select {
		case s := <-e.await:
			e.settle(s)
		case s := <-e.queue:
			e.p.settle(s, lost)
		default:
			return
		}
	}
}

// publish hands messages to the writer and waits for what becomes of them. It returns what is to be tried again, in order, and
// why; what can never be published goes to failed.
func (e *epoch) publish(ctx context.Context, msgs []Message, todo []int, failed *Failed) (again []int, err error) {
	slots := make([]*slot, len(todo))
	for k, i := range todo {
		if slots[k] = e.p.recall(msgs[i].ID); slots[k] != nil {
			continue
		}
		if slots[k], err = e.send(ctx, msgs[i]); err != nil {
			break
		}
	}
	var gaveUp error // on one message, and so on those after it, unless they are settled
	for k, i := range todo {
		s := slots[k]
		if s == nil {
			again = append(again, i)
			continue
		}
		if werr := e.wait(ctx, s, gaveUp); werr != nil {
			e.p.remember(s)
			again = append(again, i)
			err, gaveUp = werr, werr
			continue
		}
		switch s.out {
		case returned:
			failed.Errors[i] = &UnroutableError{Exchange: e.p.c.Exchange, Key: e.p.c.Key}
		case nacked:
			again = append(again, i)
			if err == nil {
				err = ErrNacked
			}
		case lost:
			again = append(again, i)
			err = e.lost()
		}
	}
	return again, err
}

// send takes room in the window and hands a message to the writer. It waits while the broker blocks, but not for ever.
func (e *epoch) send(ctx context.Context, m Message) (*slot, error) {
	if err := e.unblocked(ctx); err != nil {
		return nil, err
	}
	if !e.p.slots.TryAcquire(1) {
		if err := e.acquire(ctx, e.p.slots, 1); err != nil {
			return nil, err
		}
	}
	if w := e.p.weight(m); !e.p.bytes.TryAcquire(w) {
		if err := e.acquire(ctx, e.p.bytes, w); err != nil {
			e.p.slots.Release(1)
			return nil, err
		}
	}
	s := &slot{msg: m, done: make(chan struct{})}
	e.mu.Lock()
	if e.open == 0 {
		e.moved = time.Now()
	}
	e.open++
	e.mu.Unlock()
	e.queue <- s
	if e.over() {
		e.drain()
	}
	return s, nil
}

// acquire waits for room in the window until the epoch ends or the broker has blocked for too long.
func (e *epoch) acquire(ctx context.Context, window *semaphore.Weighted, n int64) error {
	for {
		e.mu.Lock()
		change := e.change
		e.mu.Unlock()
		room, stop := context.WithCancel(ctx)
		e.wg.Go(func() {
			defer stop()
			patience := time.NewTimer(e.p.c.Patience)
			defer patience.Stop()
			select {
			case <-e.done:
			case <-change:
			case <-patience.C:
			case <-room.Done():
			}
		})
		err := window.Acquire(room, n)
		stop()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.over():
			return e.lost()
		}
		if err := e.unblocked(ctx); err != nil {
			return err
		}
		if reason := e.stuck(); reason != "" {
			return &BlockedError{Reason: reason}
		}
	}
}

// wait blocks until a message is settled, unless the caller gave up already; an error means that it is not.
func (e *epoch) wait(ctx context.Context, s *slot, gaveUp error) error {
	select {
	case <-s.done:
		return nil
	default:
		if gaveUp != nil {
			return gaveUp
		}
	}
	for {
		patience := time.NewTimer(e.p.c.Patience)
		select {
		case <-s.done:
			patience.Stop()
			return nil
		case <-ctx.Done():
			patience.Stop()
			return context.Cause(ctx)
		case <-patience.C:
			if reason := e.stuck(); reason != "" {
				e.mu.Lock()
				e.silent = reason
				e.mu.Unlock()
				return &BlockedError{Reason: reason}
			}
		}
	}
}

// unblocked waits until the broker takes messages.
func (e *epoch) unblocked(ctx context.Context) error {
	patience := time.NewTimer(e.p.c.Patience)
	defer patience.Stop()
	for {
		e.mu.Lock()
		reason, change := e.blocked, e.change
		e.mu.Unlock()
		if reason == "" {
			return nil
		}
		select {
		case <-change:
		case <-e.done:
			return e.lost()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience.C:
			return &BlockedError{Reason: reason}
		}
	}
}

// stuck says why nothing moves: what the broker gave as its reason, or that it gave none. A broker under an alarm may stop to
// read before it says so, and then say nothing until the alarm is over.
func (e *epoch) stuck() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blocked != "" {
		return e.blocked
	}
	if idle := time.Since(e.moved); idle >= e.p.c.Patience {
		return "no confirmation for " + idle.Round(time.Second/10).String()
	}
	return ""
}

func (e *epoch) setBlocked(b amqp091.Blocking) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.blocked = ""
	if b.Active {
		if e.blocked = b.Reason; e.blocked == "" {
			e.blocked = "no reason given"
		}
	}
	close(e.change)
	e.change = make(chan struct{})
}

func (e *epoch) blockedBy() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over() {
		return ""
	}
	if e.blocked == "" {
		return e.silent
	}
	return e.blocked
}

func (e *epoch) over() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// lost says why the epoch is over.
func (e *epoch) lost() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// closed is end for what the library's channels give: nil when the connection was closed in good order.
func (e *epoch) closed(err *amqp091.Error) {
	if err == nil {
		e.end(errGone)
	} else {
		e.end(err)
	}
}

var errGone = errors.New("closed")

// end closes the epoch with its first error.
func (e *epoch) end(err error) {
	e.mu.Lock()
	first := !e.over()
	if first {
		e.err = classify(err)
		close(e.done)
	}
	e.mu.Unlock()
	if first {
		go e.hangUp() // from a goroutine of the library's, which it would wait for
	}
}

// hangUp closes the connection: politely where the broker listens, else by force.
func (e *epoch) hangUp() {
	if e.blockedBy() == "" && e.raw.SetDeadline(time.Now().Add(closeWait)) == nil {
		_ = e.conn.CloseDeadline(time.Now().Add(closeWait))
	}
	_ = e.raw.Close()
}

// close ends the epoch from our side and waits for its goroutines.
func (e *epoch) close() {
	e.mu.Lock()
	first := !e.over()
	blocked := e.blocked != ""
	if first {
		e.err = ErrClosed
		close(e.done)
	}
	e.mu.Unlock()
	if first && !blocked && e.raw.SetDeadline(time.Now().Add(closeWait)) == nil {
		_ = e.conn.CloseDeadline(time.Now().Add(closeWait))
	}
	_ = e.raw.Close()
	e.wg.Wait()
}
