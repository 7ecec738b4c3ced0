// Package amqp publishes to one exchange of a RabbitMQ that somebody else has set up, and says of each message whether the broker
// has it. It declares nothing.
//
// The protocol is amqp091-go with its own recovery off: that lets confirmations of a torn connection hang or go to the wrong
// message. Instead each connection is an epoch with confirmations of its own, and when one ends, exactly the messages that it
// left unconfirmed are published again.
package amqp

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Defaults of Config.
const (
	DefaultWindow   = 256
	DefaultBytes    = 32 << 20
	DefaultPatience = 10 * time.Second
)

// Config names the broker and what to publish to.
type Config struct {
	Host, VHost    string // VHost "" means /
	Port           int
	User, Password string
	TLS            *tls.Config // nil: plain TCP
	Exchange, Key  string
	Name           string // of the connection, for the broker's operators

	Window   int           // most messages that wait for their confirmation
	Bytes    int           // most bytes of them; a larger message goes alone
	Patience time.Duration // how long one Publish tries to get over a lost connection, and waits on a broker that blocks
}

// Message is one persistent message.
type Message struct {
	ID   string // message_id: unique for the content, and the same whenever the content is published again
	Body []byte
}

// Publisher publishes with confirmations. It is safe for concurrent use and connects when it is first needed.
type Publisher struct {
	c     Config
	slots *semaphore.Weighted // window of messages
	bytes *semaphore.Weighted // window of bytes

	dialing sync.Mutex // held while connecting: one at a time

	mu     sync.Mutex
	epoch  *epoch
	closed bool
	memory map[string]*slot // messages whose caller left before their confirmation
	counts Counts
}

// Counts are totals since the publisher was made.
type Counts struct{ Published, Confirmed, Returned, Nacked, Connections uint64 }

// New makes a publisher; it connects to nothing yet.
func New(c Config) *Publisher {
	if c.Window <= 0 {
		c.Window = DefaultWindow
	}
	if c.Bytes <= 0 {
		c.Bytes = DefaultBytes
	}
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	if c.VHost == "" {
		c.VHost = "/"
	}
	return &Publisher{c: c, slots: semaphore.NewWeighted(int64(c.Window)), bytes: semaphore.NewWeighted(int64(c.Bytes)), memory: map[string]*slot{}}
}

// Publish returns once the broker has every message, or an error: a *Failed that says which it has not, as far as is known.
// It blocks while the window is full, and at most until ctx ends; then the connection may still be busy with what it was given,
// and a later Publish of a message with the same id picks that confirmation up instead of sending it twice. After a lost
// connection it publishes again what was not confirmed, so a message can arrive twice, but none is lost.
func (p *Publisher) Publish(ctx context.Context, msgs []Message) error {
	s := p.Stream(ctx)
	s.Send(msgs...)
	return s.Wait()
}

// Check connects, if need be, and asks the broker whether exchange and queue are there; it returns the number of messages in the
// queue. An empty queue name is not asked for.
func (p *Publisher) Check(ctx context.Context, queue string) (messages int, err error) {
	e, err := p.current(ctx)
	if err != nil {
		return 0, err
	}
	return e.check(ctx, p.c.Exchange, queue)
}

// Blocked says why the broker takes no messages at present (an alarm for memory or disk); empty when it does.
func (p *Publisher) Blocked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch == nil {
		return ""
	}
	return p.epoch.blockedBy()
}

// Counts returns the totals so far.
func (p *Publisher) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

func (p *Publisher) count(f func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counts)
}

// Close ends the connection, and every Publish under way with it. It does not wait for a broker that blocks.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	e := p.epoch
	p.mu.Unlock()
	if e != nil {
		e.close()
	}
	return nil
}

// current returns the epoch under way, or connects and begins one.
func (p *Publisher) current(ctx context.Context) (*epoch, error) {
	p.dialing.Lock()
	defer p.dialing.Unlock()
	p.mu.Lock()
	e, closed := p.epoch, p.closed
	p.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case e != nil && !e.over():
		return e, nil
	}
	e, err := begin(ctx, p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.closed {
		e.close()
		err = ErrClosed
	}
	if err != nil {
		return nil, err
	}
	p.epoch = e
	p.counts.Connections++
	return e, nil
}
