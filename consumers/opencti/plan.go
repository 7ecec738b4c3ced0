package opencti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// piece is one object on its way into the platform.
type piece struct {
	event  int // index in the batch; -1: it only goes along with others
	object stix.Object
	bundle []byte
	gone   bool // it deletes the object
}

// plan is what a batch comes to: what is sent, in order, and what is refused.
type plan struct {
	pieces []piece
	failed bridge.BatchError
}

// plan decides what each event of a batch means in the platform, adds what the platform needs to know and may not have been sent yet, and
// orders all so that what is referred to comes first.
func (s *sink) plan(ctx context.Context, batch []bridge.Event) (*plan, error) {
	p := &plan{}
	var objs []stix.Object
	by := map[string]int{} // object id → event
	var after []piece
	for i, e := range batch {
		o, op, err := s.meaning(ctx, e)
		switch {
		case err != nil && bridge.IsPermanent(err):
			p.failed.Fail(i, err)
			continue
		case err != nil:
			return nil, err
		}
		switch op {
		case "":
			continue
		case "delete":
			bundle, err := order(e, o, map[string]any{"opencti_operation": "delete"})
			if err != nil {
				p.failed.Fail(i, bridge.Permanent(err))
				continue
			}
			after = append(after, piece{event: i, object: o, bundle: bundle, gone: true})
			continue
		case "merge":
			bundle, err := order(e, o, map[string]any{"opencti_operation": "merge", "merge_target_id": o.ID(), "merge_source_ids": e.Context.Sources})
			if err != nil {
				p.failed.Fail(i, bridge.Permanent(err))
				continue
			}
			after = append(after, piece{event: i, object: o, bundle: bundle})
		}
		objs = append(objs, o)
		by[o.ID()] = i
	}
	more, err := s.complete(ctx, batch, objs, by)
	if err != nil {
		return nil, err
	}
	if all := append(more, objs...); len(all) > 0 {
		pieces, dropped, err := stix.Split(bundleID(batch[0]), all, stix.SplitOptions{})
		if err != nil {
			return nil, bridge.Permanent(err) // the runtime finds out which event it is
		}
		for _, d := range dropped {
			s.counts.refuse(s.lent().Log, d)
		}
		for _, one := range pieces {
			i, own := by[one.Object.ID()]
			if !own {
				i = -1
			}
			p.pieces = append(p.pieces, piece{event: i, object: one.Object, bundle: one.Bundle})
		}
	}
	p.pieces = append(p.pieces, after...)
	return p, nil
}

// meaning of an event to the platform: an object and an operation, import when that is neither delete nor merge, nothing when empty.
func (s *sink) meaning(ctx context.Context, e bridge.Event) (stix.Object, string, error) {
	o, err := cleaned(e.Object)
	if err != nil {
		return o, "", bridge.Permanent(err)
	}
	held, err := s.echo(ctx, e, o)
	if err != nil {
		return o, "", err
	}
	if held == "" && inferred(o) {
		held = heldInferred
	}
	if held != "" {
		s.counts.hold(held)
		return o, "", nil
	}
	if !e.Retracts() {
		if e.Op == bridge.Merge && len(e.Context.Sources) > 0 {
			return o, "merge", nil
		}
		return o, "import", nil
	}
	// The platform knows a renamed or merged object under its new name: deleting the old one would delete the new.
	if e.Context.Reason == "renamed" || e.Context.Reason == "merged" {
		s.counts.hold(heldDelete)
		return o, "", nil
	}
	what := s.OnDelete
	if what == "auto" {
		what = "ignore"
		if o.Type() == "indicator" {
			what = "revoke"
		}
	}
	switch what {
	case "delete":
		return o, "delete", nil
	case "revoke":
		if o.Modified() == "" { // an observable, which has no revoked state, or only id and type are known
			break
		}
		if o, err = o.Set("revoked", true); err != nil {
			return o, "", bridge.Permanent(err)
		}
		return o, "import", nil
	}
	s.counts.hold(heldDelete)
	return o, "", nil
}

// order makes the one-object bundle by which the worker is told to do something else than to import.
func order(e bridge.Event, o stix.Object, members map[string]any) ([]byte, error) {
	small := map[string]any{"type": o.Type(), "id": o.ID(), "spec_version": "2.1"}
	for k, v := range members {
		small[k] = v
	}
	return json.Marshal(map[string]any{"type": "bundle", "id": bundleID(e), "spec_version": "2.1", "x_opencti_seq": 1, "objects": []any{small}})
}

// bundleID is the same whenever the same event is sent again.
func bundleID(e bridge.Event) string {
	return "bundle--" + uuid.NewSHA1(uuid.NameSpaceOID, []byte("stixbridge:"+e.ID)).String()
}

// maxAlong bounds what goes along with one batch.
const maxAlong = 5000

// complete finds what the objects refer to, in as many steps as it takes, and was not sent to this platform yet: ends, authors, markings.
// What nobody knows is left to the platform to know.
func (s *sink) complete(ctx context.Context, batch []bridge.Event, objs []stix.Object, by map[string]int) ([]stix.Object, error) {
	env := s.lent()
	if env.Lookup == nil {
		return nil, nil
	}
	var along []stix.Object
	asked := map[string]bool{}
	refers := make([]wanted, 0, len(objs)) // objects whose references are looked at next, by id
	for _, o := range objs {
		refers = append(refers, wanted{id: o.ID(), producer: batch[by[o.ID()]].Producer, object: o})
	}
	for len(refers) > 0 {
		var ask []wanted
		for _, r := range refers {
			for _, id := range references(r.object) {
				if _, own := by[id]; !own && !asked[id] && !s.memory.has(id) && !stix.KnownMarking(id) {
					asked[id] = true
					ask = append(ask, wanted{id: id, producer: r.producer})
				}
			}
		}
		if err := s.findAll(ctx, env, ask); err != nil {
			return nil, err
		}
		refers = refers[:0]
		for _, w := range ask {
			if w.object.IsZero() {
				continue
			}
			o, err := cleaned(w.object)
			if err != nil || inferred(o) {
				continue
			}
			if len(along) >= maxAlong {
				return nil, bridge.Permanent(fmt.Errorf("more than %d objects would have to go along", maxAlong))
			}
			w.object = o
			along, refers = append(along, o), append(refers, w)
		}
	}
	return along, nil
}

// wanted is an object that something refers to, as the producer of that something knows it; found, it has its object.
type wanted struct {
	id, producer string
	object       stix.Object
}

// lookups is how many look-ups are under way at once; the runtime puts together what waits.
const lookups = 128

// findAll fills in what can be found.
func (s *sink) findAll(ctx context.Context, env bridge.Env, ask []wanted) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for i := range ask {
		g.Go(func() error {
			o, ok, err := s.find(ctx, env, ask[i].id, ask[i].producer)
			if ok {
				ask[i].object = o
			}
			return err
		})
	}
	return g.Wait()
}

// find looks an object up: not at all when the platform itself asserts it, else as its own producer says it, else as the preferred one.
func (s *sink) find(ctx context.Context, env bridge.Env, id, producer string) (stix.Object, bool, error) {
	for _, live := range s.memory.following() {
		if _, ok, err := env.Lookup(ctx, id, live); err != nil || ok {
			return stix.Object{}, false, err
		}
	}
	o, ok, err := env.Lookup(ctx, id, producer)
	if err == nil && !ok {
		o, ok, err = env.Lookup(ctx, id, "")
	}
	return o, ok, err
}

var errNothing = errors.New("nothing to send")
