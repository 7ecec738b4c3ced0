package amqp

import (
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// write publishes one message after the other. A write can block for as long as the broker does not read; nobody waits for
// this goroutine but the end of the epoch, which closes the connection under it.
func (e *epoch) write() {
	defer func() { _ = e.cork.pull() }() // what the library still says must get out
	for {
		select {
		case <-e.done:
			return
		case s := <-e.queue:
			if len(e.queue) > 0 {
				e.cork.put()
			}
			dc, err := e.ch.PublishWithDeferredConfirm(e.p.c.Exchange, e.p.c.Key, true, false, amqp091.Publishing{
				MessageId: s.msg.ID, ContentEncoding: "utf-8", DeliveryMode: amqp091.Persistent, Body: s.msg.Body,
			})
			if err != nil {
				e.p.settle(s, lost)
				e.end(err)
				return
			}
			s.dc = dc
			if len(e.queue) == 0 {
				if err := e.cork.pull(); err != nil {
					e.end(err)
				}
			}
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
