package opencti

import (
	"context"
	"errors"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/amqp"
	"github.com/stixbridge/stixbridge/stix"
)

// Deliver sends a batch to the platform's queue. nil means that the broker (or the platform, with queue_protocol api) has it: what
// the platform's worker makes of it is read from the works later. It may be called concurrently, here and in other processes that write
// to the same platform, as long as no two calls hold one object.
func (s *sink) Deliver(ctx context.Context, batch []bridge.Event) error {
	ids := make([]string, len(batch))
	for i, e := range batch {
		ids[i] = e.Object.ID()
	}
	flight := s.memory.book(batch[0].Seq, ids)
	defer s.memory.land(flight, false)
	ses, err := s.registered(ctx)
	if err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	c := &call{s: s, ses: ses, batch: batch, bundle: bundleID(batch[0].ID)}
	cards, err := s.read(ctx, batch, &c.failed)
	if err != nil {
		return err
	}
	if len(cards) > 0 {
		if err := s.pressure(ctx, ses); err != nil {
			return err
		}
		if err := c.deliver(ctx, cards, flight); err != nil {
			return err
		}
	}
	if err := sameKind(c.failed, len(batch)); err != nil {
		return err
	}
	s.mu.Lock()
	s.last, s.seq = time.Now(), max(s.seq, batch[len(batch)-1].Seq)
	s.mu.Unlock()
	return c.failed.Err()
}

// call is one delivery under way.
type call struct {
	s      *sink
	ses    *session
	batch  []bridge.Event
	bundle string
	failed bridge.BatchError
	lost   error           // why one of the last sent that is no event of the batch did not arrive
	n      int             // messages so far
	unsure map[string]bool // what others sent and may come after what refers to it
}

// deliver sends what a batch comes to, and sees to it that nothing that went along stays behind its newest version.
func (c *call) deliver(ctx context.Context, cards []*card, f *flight) error {
	arrived, err := c.send(ctx, cards, f)
	for round := 0; err == nil && len(arrived) > 0; round++ {
		arrived, err = c.follow(ctx, arrived, round)
	}
	return err
}

// send plans cards and sends the pieces, a chunk being planned while the broker confirms the one before. It returns once all are confirmed
// or failed, with the cards of what went along and arrived. Errors of events are in failed; an error returned says that nothing was sent.
func (c *call) send(ctx context.Context, cards []*card, f *flight) (arrived []*card, err error) {
	defer c.s.memory.land(f, false)
	p := c.s.plan(c.bundle, cards, f)
	c.lost, c.unsure = nil, map[string]bool{}
	var out outlet = &door{call: c}
	size := len(cards)
	if c.ses.publisher != nil {
		out, size = &queue{call: c, envelope: c.s.envelope(c.ses), stream: c.ses.publisher.Stream(ctx), flight: f}, chunkSize
	}
	var sent []piece
	for chunk := p.chunk(size); len(chunk) > 0; chunk = p.chunk(size) {
		pieces, err := p.pieces(ctx, chunk)
		if err == nil && len(pieces) > 0 {
			err = out.send(ctx, pieces)
		}
		if err != nil && len(sent) == 0 {
			if ctx.Err() != nil {
				c.s.adrift.put(chunk)
			}
			return nil, err
		}
		if err != nil {
			c.skip(append(chunk, p.left()...), err)
			break
		}
		sent = append(sent, pieces...)
	}
	c.s.memory.depart(f)
	failed, sure := out.wait()
	c.s.memory.land(f, sure)
	if ctx.Err() != nil {
		c.s.adrift.add(sent, failed)
	}
	for id, other := range p.others { // which wait for none of ours: those have landed
		if !sure || !other.well(ctx) {
			c.unsure[id] = true
		}
	}
	return c.settle(sent, failed), nil
}

// skip fails what was not sent because of an error that came before its turn. Whose fault that is, is not known: nobody's.
func (c *call) skip(cards []*card, err error) {
	if bridge.IsPermanent(err) {
		err = errors.New(err.Error())
	}
	for _, card := range cards {
		if card.event >= 0 {
			c.failed.Fail(card.event, err)
		} else {
			c.lost = err
		}
	}
}

// outlet is a way into the platform.
type outlet interface {
	// send hands pieces over, in order, and sets their work.
	send(ctx context.Context, pieces []piece) error
	// wait returns what was not taken, by its place among all pieces sent; sure: all was, at the first try.
	wait() (failed map[int]error, sure bool)
}

// queue is the platform's RabbitMQ.
type queue struct {
	*call
	envelope
	stream *amqp.Stream
	works  []*work
	flight *flight
}

func (q *queue) send(ctx context.Context, pieces []piece) error {
	work, err := q.s.works.take(ctx, q.ses, len(pieces))
	if err != nil {
		return err
	}
	msgs, ids := make([]amqp.Message, len(pieces)), make([]string, 0, len(pieces))
	size := 0
	for i := range pieces {
		pieces[i].work = work
		q.n++
		msgs[i] = q.message(q.batch, pieces[i], q.n)
		size += len(msgs[i].Body)
		q.works = append(q.works, work)
		if !pieces[i].gone {
			ids = append(ids, pieces[i].id)
		}
	}
	q.stream.Send(msgs...)
	q.s.memory.board(q.flight, ids)
	q.s.published(size)
	return nil
}

func (q *queue) wait() (map[int]error, bool) {
	failed := &amqp.Failed{}
	_ = errors.As(q.stream.Wait(), &failed) // any error names the messages that failed
	for i := range failed.Errors {
		q.s.works.giveBack(q.works[i], 1)
	}
	return failed.Errors, len(failed.Errors) == 0 && !q.stream.Resent()
}

// errUnsure is an object that another call sent, on a connection that was lost.
var errUnsure = errors.New("what it refers to was sent by another delivery whose connection was lost: it may come first")

// settle sorts what became of the messages into what became of the events. It returns what went along and arrived.
func (c *call) settle(sent []piece, errs map[int]error) (arrived []*card) {
	missing := map[string]error{} // what did not arrive though it may the next time, and what refers to it
	var known, own []string
	count := 0
	for i, one := range sent {
		err := errs[i]
		if err == nil {
			count++
		}
		err, final := c.judge(one, err)
		for _, ref := range one.card.refs {
			switch {
			case err != nil:
			case missing[ref] != nil:
				err = missing[ref]
			case c.unsure[ref]:
				err = errUnsure
			}
		}
		switch {
		case final && one.card.event >= 0:
			c.failed.Fail(one.card.event, err)
		case err != nil:
			missing[one.id] = err
			if one.card.event >= 0 {
				c.failed.Fail(one.card.event, err)
			} else {
				c.lost = err
			}
		case one.gone:
			c.s.memory.forget(one.id)
		case one.card.event >= 0:
			known, own = append(known, one.id), append(own, one.id)
			c.s.works.note(one.work, c.batch[one.card.event])
		default:
			known, arrived = append(known, one.id), append(arrived, one.card)
		}
	}
	c.s.memory.add(known)
	c.s.adrift.settled(own)
	c.s.counts.sent(count)
	return arrived
}

// judge gives an error the kind that tells the runtime what to do; final: to send the same again would not help.
func (c *call) judge(one piece, err error) (kind error, final bool) {
	var (
		gone      *amqp.MissingError
		lost      *amqp.UnroutableError
		large     *amqp.TooLargeError
		forbidden *amqp.RefusedError
	)
	switch {
	case err == nil:
		return nil, false
	case errors.As(err, &large):
		if one.card.event < 0 { // what needs it goes without
			c.s.counts.refuse(c.s.lent().Log, stix.Dropped{ID: one.id, Type: one.typ, Reason: err.Error()})
			return nil, false
		}
		return bridge.Permanent(err), true
	case errors.As(err, &gone), errors.As(err, &lost), errors.As(err, &forbidden):
		c.s.drop(c.ses) // registering again makes queues and bindings, and brings new credentials
	}
	return c.s.explain(err), false
}

// sameKind returns the one error of a batch that failed as a whole, so that the runtime sees an outage and not bad events.
func sameKind(b bridge.BatchError, n int) error {
	if len(b.Failed) < n {
		return nil // the call carries them
	}
	var first error
	for i := range n {
		err := b.Failed[i]
		if err == nil || bridge.IsPermanent(err) {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}
