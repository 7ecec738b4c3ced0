package opencti

import (
	"context"
	"errors"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// wanted is an object that something refers to, and who said that something.
type wanted struct{ id, producer string }

// findAll returns what of the wanted is to go along, in their order.
func (s *sink) findAll(ctx context.Context, ask []wanted) ([]*card, error) {
	all := make([]*card, len(ask))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for i, w := range ask {
		g.Go(func() (err error) {
			all[i], err = s.find(ctx, w)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	found := all[:0]
	for _, c := range all {
		if c != nil {
			found = append(found, c)
		}
	}
	return found, nil
}

// find looks an object up; nil when nobody asserts it, or when it is the platform's own.
func (s *sink) find(ctx context.Context, w wanted) (*card, error) {
	e, ok, err := s.current(ctx, w)
	if err != nil || !ok || e.Retracts() {
		return nil, err
	}
	c, held, err := s.along(e)
	if err != nil || held {
		return nil, nil // it is no object that can be sent, as its own event will say
	}
	return c, nil
}

// current is the version of an object that the platform is to hold; false when nobody knows it, or the platform itself asserts it.
func (s *sink) current(ctx context.Context, w wanted) (bridge.Event, bool, error) {
	env := s.lent()
	for _, live := range s.memory.following() {
		if _, own, err := env.Lookup(ctx, w.id, live); err != nil || own {
			return bridge.Event{}, false, err
		}
	}
	return env.Current(ctx, w.id, w.producer)
}

// along makes the card of what goes along.
func (s *sink) along(e bridge.Event) (c *card, held bool, err error) {
	out, err := clean(e.Object)
	if err != nil {
		return nil, false, err
	}
	if from := e.Context.Origin; out.inferred || from != nil && from.Platform == s.platform {
		return nil, true, nil
	}
	return &card{outward: out, version: version{e.Producer, e.Seq}, event: -1}, false, nil
}

// maxRounds bounds how often one call runs after an object that changes all the time.
const maxRounds = 8

// errRestless is an object that changed whenever it was sent. The batch goes once more.
var errRestless = errors.New("what an event refers to changed again and again while it was sent along")

// follow looks again at what went along: its own events may have been sent meanwhile, by another call or another process, and then an
// older version lies behind the newest in the queue. Where there is another version by now, it is sent after it. What is not as it was is
// returned, to be looked at again.
//
// That is enough because whoever sends an object's own event has waited before until Current knows it (see settled).
func (c *call) follow(ctx context.Context, cards []*card, round int) ([]*card, error) {
	if round == maxRounds {
		return nil, c.adrift(cards, errRestless)
	}
	newer, stand, err := c.s.overtaken(ctx, cards)
	if err != nil {
		return nil, c.adrift(cards, err)
	}
	c.s.adrift.settled(stand)
	if len(newer) == 0 {
		return nil, nil
	}
	c.s.counts.overtake(len(newer))
	arrived, err := c.send(ctx, newer, c.s.memory.book(math.MaxUint64, nil))
	if err == nil {
		err = c.lost
	}
	if err != nil {
		return nil, c.adrift(newer, err)
	}
	return arrived, nil
}

// adrift notes what may be the older version on the queue, and returns why nothing was done about it yet.
func (c *call) adrift(cards []*card, why error) error {
	c.s.adrift.put(cards)
	for _, card := range cards {
		c.s.memory.forget(card.object.ID())
	}
	return why
}

// overtaken returns what is to be sent after the cards where the platform is to hold something else by now, and the ids of the others.
func (s *sink) overtaken(ctx context.Context, cards []*card) (newer []*card, stand []string, err error) {
	all := make([]*card, len(cards))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for i, c := range cards {
		g.Go(func() (err error) {
			all[i], err = s.successor(ctx, c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, c := range all {
		if c != nil {
			newer = append(newer, c)
		} else {
			stand = append(stand, cards[i].object.ID())
		}
	}
	return newer, stand, nil
}

// successor is what is to be sent after a card; nil when it still stands.
func (s *sink) successor(ctx context.Context, c *card) (*card, error) {
	e, ok, err := s.current(ctx, wanted{c.object.ID(), c.producer})
	if err != nil || !ok || (version{e.Producer, e.Seq}) == c.version {
		return nil, err
	}
	if !e.Retracts() {
		next, held, err := s.along(e)
		if err != nil || held {
			return nil, nil // its own event says so
		}
		return next, nil
	}
	if stub := stix.Stub(e.Object.Type(), e.Object.ID()); e.Object.Equal(stub) {
		e.Object = c.object
	}
	next, held, err := s.card(e)
	if err != nil || held != "" {
		return nil, nil // nothing to take back, as for its own event
	}
	next.event = -1
	return next, nil
}
