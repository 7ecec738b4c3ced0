package amqp

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"
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
	cork *cork // around raw
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
				e.raw, e.cork = c, &cork{Conn: c}
				err = c.SetDeadline(time.Now().Add(dialTimeout)) // of the handshake; the library lifts it
				return e.cork, err
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
