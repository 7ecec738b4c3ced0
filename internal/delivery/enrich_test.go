package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// labeler answers with the object itself; it fails on what it is told to fail on.
type labeler struct {
	asked []string
	fail  map[string]error
}

func (l *labeler) Enrich(_ context.Context, e bridge.Event) ([]stix.Object, error) {
	l.asked = append(l.asked, fmt.Sprintf("%s %s", e.Producer, e.Object.ID()))
	if err := l.fail[e.Object.ID()]; err != nil {
		return nil, err
	}
	return []stix.Object{e.Object}, nil
}

func (l *labeler) Probe(context.Context) error { return nil }

func TestAnEnricherNeverMeetsItself(t *testing.T) {
	l := &labeler{}
	var published []string
	s := Enrich("lists", l, func(_ context.Context, e bridge.Event, objs []stix.Object) error {
		published = append(published, fmt.Sprintf("%s %d", e.Object.ID(), len(objs)))
		return nil
	})
	hops := func(h ...string) bridge.Context { return bridge.Context{Hops: h} }
	err := s.Deliver(t.Context(), []bridge.Event{
		{Producer: "p", Op: bridge.Create, Object: obj("a", 1)},
		{Producer: "lists", Op: bridge.Create, Object: obj("b", 1)},
		{Producer: "other", Op: bridge.Create, Object: obj("c", 1), Context: hops("lists", "other")},
		{Producer: "other", Op: bridge.Create, Object: obj("d", 1), Context: hops("other")},
		{Producer: "w", Op: bridge.Create, Object: obj("e", 1), Context: hops("1", "2", "3", "w")},
		{Producer: "p", Op: bridge.Delete, Object: obj("f", 1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"p indicator--a", "other indicator--d"}, l.asked); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"indicator--a 1", "indicator--d 1", "indicator--f 0"}, published); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"made": uint64(2), "skipped_own": uint64(3)}, s.Report()); diff != "" {
		t.Error(diff)
	}
	if _, ok := as[bridge.Prober](s); !ok {
		t.Error("the enricher's probe is hidden")
	}
	if _, ok := as[bridge.Starter](s); ok {
		t.Error("a start that the enricher does not have")
	}
}

func TestAnEnricherBehavesAsAnySink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &labeler{fail: map[string]error{"indicator--3": bridge.Permanent(errors.New("not an address"))}}
		var published []uint64
		cfg := w.config(Enrich("lists", l, func(_ context.Context, e bridge.Event, objs []stix.Object) error {
			published = append(published, e.Seq)
			return nil
		}))
		for i := range 10 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		w.start(cfg).drain()
		if len(published) != 9 || slices.Contains(published, 4) {
			t.Errorf("published for %v", published)
		}
		if diff := cmp.Diff([]uint64{4}, w.lettered()); diff != "" {
			t.Error(diff)
		}
	})
}
