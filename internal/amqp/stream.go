package amqp

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// Stream publishes one sequence of messages that becomes known piece by piece: while the broker confirms what was sent, the caller makes
// what comes next. Messages go out in the order of Send, and are published again in that order, none before one that it follows, when a
// connection is lost. It is not safe for concurrent use; streams of one publisher share its window.
type Stream struct {
	p     *Publisher
	ctx   context.Context
	msgs  []Message
	slots []*slot // by message; nil: not handed over
	e     *epoch  // that they were handed to
	err   error   // why no more are handed over until Wait
	again bool    // something was handed over twice
}

// Stream begins one; ctx is for all of its calls.
func (p *Publisher) Stream(ctx context.Context) *Stream { return &Stream{p: p, ctx: ctx} }

// Len is how many messages were sent so far; the next one has this index in a Failed.
func (s *Stream) Len() int { return len(s.msgs) }

// Send hands messages over. It blocks while the window is full, and for as long as it takes to connect; it does not wait for confirmations.
// Whatever goes wrong, Wait mends or tells.
func (s *Stream) Send(msgs ...Message) {
	from := len(s.msgs)
	s.msgs = append(s.msgs, msgs...)
	s.slots = append(s.slots, make([]*slot, len(msgs))...)
	if s.e == nil && s.err == nil {
		s.e, s.err = s.p.current(s.ctx)
	}
	if s.err == nil {
		s.err = s.e.handOver(s.ctx, s.msgs[from:], s.slots[from:])
	}
}

// Wait returns once the broker has every message, or an error as Publish does. Nothing may be sent after it.
func (s *Stream) Wait() error {
	failed := &Failed{Errors: map[int]error{}}
	todo := make([]int, len(s.msgs))
	for i := range todo {
		todo[i] = i
	}
	var deadline time.Time
	for try := 0; len(todo) > 0; try++ {
		if try > 0 {
			s.resend(todo)
		}
		err := s.err
		if s.e != nil {
			todo, err = s.settled(todo, failed)
			todo = s.withoutLarge(todo, err, failed)
			if len(todo) == 0 {
				break
			}
		}
		if final(err) || s.ctx.Err() != nil {
			return failed.rest(todo, err)
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(s.p.c.Patience)
		}
		wait := time.Duration(float64(min(100<<min(try, 6), 5000)) * (0.5 + rand.Float64()/2) * float64(time.Millisecond))
		if time.Now().Add(wait).After(deadline) {
			return failed.rest(todo, err)
		}
		t := time.NewTimer(wait)
		select {
		case <-s.ctx.Done():
			t.Stop()
			return failed.rest(todo, context.Cause(s.ctx))
		case <-t.C:
		}
	}
	return failed.orNil()
}

// Resent reports whether anything had to be sent again, so that messages of other calls may lie between.
func (s *Stream) Resent() bool { return s.again }

// resend hands over once more what is left.
func (s *Stream) resend(todo []int) {
	s.again = true
	if s.e, s.err = s.p.current(s.ctx); s.err != nil {
		return
	}
	msgs, slots := make([]Message, len(todo)), make([]*slot, len(todo))
	for k, i := range todo {
		msgs[k] = s.msgs[i]
	}
	s.err = s.e.handOver(s.ctx, msgs, slots)
	for k, i := range todo {
		s.slots[i] = slots[k]
	}
}

// settled waits for what becomes of the messages that were handed over. It returns what is to be tried again, in order, and why; what can
// never be published goes to failed.
func (s *Stream) settled(todo []int, failed *Failed) (again []int, err error) {
	err = s.err
	var gaveUp error // on one message, and so on those after it, unless they are settled
	for _, i := range todo {
		one := s.slots[i]
		if one == nil {
			again = append(again, i)
			continue
		}
		if werr := s.e.wait(s.ctx, one, gaveUp); werr != nil {
			s.p.remember(one)
			again = append(again, i)
			err, gaveUp = werr, werr
			continue
		}
		switch one.out {
		case returned:
			failed.Errors[i] = &UnroutableError{Exchange: s.p.c.Exchange, Key: s.p.c.Key}
		case nacked:
			again = append(again, i)
			if err == nil {
				err = ErrNacked
			}
		case lost:
			again = append(again, i)
			err = s.e.lost()
		}
	}
	return again, err
}

// withoutLarge takes out what is over the broker's limit, which ended the connection; the others only went down with it.
func (s *Stream) withoutLarge(todo []int, err error, failed *Failed) []int {
	var large *TooLargeError
	if !errors.As(err, &large) || large.Limit <= 0 {
		return todo
	}
	return slices.DeleteFunc(todo, func(i int) bool {
		size := len(s.msgs[i].Body)
		if size > large.Limit {
			failed.Errors[i] = &TooLargeError{Size: size, Limit: large.Limit}
		}
		return size > large.Limit
	})
}
