package opencti

import (
	"context"
	"fmt"
	"slices"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// piece is one message to the platform: an object in a bundle of its own, or an order.
type piece struct {
	card   *card
	id     string
	typ    string
	bundle []byte
	gone   bool // it deletes the object
	work   *work
}

// chunkSize is about how many events are planned at a time: while the broker confirms one chunk, the next is planned.
const chunkSize = 250

// plan puts what a call sends into an order in which what is referred to comes first, chunk by chunk.
type plan struct {
	s      *sink
	bundle string // id of all bundles of one call
	cards  []*card
	own    map[string]int // id of an object that is imported → its place in cards
	taken  []bool
	next   int                // before it all are taken
	along  map[string]*card   // what goes along; nil: looked for, and it does not
	looked int                // how many of them do
	others map[string]*flight // what other calls have handed over and is not confirmed yet
	flight *flight            // of this call
}

func (s *sink) plan(bundle string, cards []*card, f *flight) *plan {
	p := &plan{s: s, flight: f, bundle: bundle, cards: cards, own: make(map[string]int, len(cards)), taken: make([]bool, len(cards)), along: map[string]*card{}, others: map[string]*flight{}}
	for i, c := range cards {
		if !c.gone {
			p.own[c.object.ID()] = i
		}
	}
	return p
}

// chunk takes about n of the cards that are left, in log order, and whatever of the others these refer to; nil at the end.
func (p *plan) chunk(n int) (cards []*card) {
	var at []int
	for ; p.next < len(p.cards) && len(at) < n; p.next++ {
		if p.taken[p.next] {
			continue
		}
		p.taken[p.next] = true
		at = append(at, p.next)
		for k := len(at) - 1; k < len(at); k++ {
			for _, id := range p.cards[at[k]].refs {
				if i, ok := p.own[id]; ok && !p.taken[i] {
					p.taken[i] = true
					at = append(at, i)
				}
			}
		}
	}
	slices.Sort(at)
	for _, i := range at {
		cards = append(cards, p.cards[i])
	}
	return cards
}

// left are the cards that no chunk took.
func (p *plan) left() (cards []*card) {
	for i, c := range p.cards {
		if !p.taken[i] {
			cards = append(cards, c)
		}
	}
	return cards
}

// pieces makes the messages of a chunk, in order, with what the platform needs to know and may not have been sent yet.
func (p *plan) pieces(ctx context.Context, chunk []*card) ([]piece, error) {
	more, err := p.complete(ctx, chunk)
	if err != nil {
		return nil, err
	}
	objs := make([]stix.Object, 0, len(more)+len(chunk))
	by := make(map[string]*card, len(more)+len(chunk))
	for _, c := range more {
		objs, by[c.object.ID()] = append(objs, c.object), c
	}
	for _, c := range chunk {
		if !c.gone {
			objs, by[c.object.ID()] = append(objs, c.object), c
		}
	}
	out := make([]piece, 0, len(objs))
	if len(objs) > 0 {
		split, dropped, err := stix.Split(p.bundle, objs, stix.SplitOptions{})
		if err != nil {
			return nil, bridge.Permanent(err) // the runtime finds out which event it is
		}
		for _, d := range dropped {
			p.s.counts.refuse(p.s.lent().Log, d)
		}
		for _, one := range split {
			id := one.Object.ID()
			out = append(out, piece{card: by[id], id: id, typ: one.Object.Type(), bundle: one.Bundle})
		}
	}
	for _, c := range chunk {
		if c.order != nil {
			out = append(out, piece{card: c, id: c.object.ID(), typ: c.object.Type(), bundle: c.order, gone: c.gone})
		}
	}
	return out, nil
}

// maxAlong bounds what goes along with one call.
const maxAlong = 5000

// complete finds what the objects refer to, in as many steps as it takes, and was not sent to this platform yet: ends, authors, markings.
// What nobody knows is left to the platform to know.
func (p *plan) complete(ctx context.Context, refers []*card) (found []*card, err error) {
	for len(refers) > 0 {
		var ask []wanted
		for _, r := range refers {
			if r.gone {
				continue
			}
			for _, id := range r.refs {
				if _, own := p.own[id]; own {
					continue
				}
				if _, asked := p.along[id]; asked || p.others[id] != nil || stix.KnownMarking(id) {
					continue
				}
				known, other := p.s.memory.knows(id)
				if other != nil && p.s.memory.carries(ctx, other, id, p.flight) {
					p.others[id] = other
					continue
				}
				if known {
					continue
				}
				p.along[id] = nil
				ask = append(ask, wanted{id, r.producer})
			}
		}
		refers, err = p.s.findAll(ctx, ask)
		if err != nil {
			return nil, err
		}
		if p.looked+len(refers) > maxAlong {
			return nil, bridge.Permanent(fmt.Errorf("more than %d objects would have to go along", maxAlong))
		}
		for _, c := range refers {
			p.along[c.object.ID()] = c
		}
		p.looked, found = p.looked+len(refers), append(found, refers...)
	}
	return found, nil
}
