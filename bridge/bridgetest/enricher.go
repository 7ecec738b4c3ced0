package bridgetest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// EnricherCase says how a kind of enricher is tested.
type EnricherCase struct {
	Plugin  bridge.Plugin[bridge.Enricher]
	Section func(t testing.TB) string // the plugin's own configuration, JSON
	Hits    []stix.Object             // each is answered
	Misses  []stix.Object             // none is
	Secrets []string
	Skip    map[string]string
}

// Enricher runs the suite over one kind.
func Enricher(t *testing.T, c EnricherCase) {
	t.Helper()
	check := func(name string, f func(*testing.T, bridge.Enricher)) {
		t.Run(name, func(t *testing.T) {
			if why := c.Skip[name]; why != "" {
				t.Skip(why)
			}
			leaks := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
			f(t, c.build(t))
		})
	}
	check("what it knows is answered, what it does not know is not", c.answers)
	check("the same question has the same answer", c.steady)
	check("its own answer is not answered again", c.loop)
	check("a delete, an expire and a retract are not answered", c.retracts)
	check("odd objects are no trouble", c.odd)
	check("cancelled, it returns", c.cancelled)
}

func (c EnricherCase) build(t *testing.T) bridge.Enricher {
	t.Helper()
	e, err := c.Plugin.Build(json.RawMessage(c.Section(t)))
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	t.Cleanup(func() { closeIf(t, e) })
	if s, ok := e.(bridge.Starter); ok {
		if err := s.Start(t.Context(), new(Vault).Env("under-test", t.TempDir(), nil)); err != nil {
			t.Fatalf("start: %v", err)
		}
	}
	return e
}

func (c EnricherCase) ask(t *testing.T, e bridge.Enricher, o stix.Object) []stix.Object {
	t.Helper()
	got, err := e.Enrich(t.Context(), NewEvent(1, bridge.Create, o))
	if err != nil {
		t.Errorf("%s: %v", o.ID(), err)
	}
	for _, a := range got {
		if again, err := stix.Parse(a.Raw()); err != nil || again.ID() != a.ID() {
			t.Errorf("%s: the answer does not parse: %v", o.ID(), err)
		}
	}
	return got
}

func (c EnricherCase) answers(t *testing.T, e bridge.Enricher) {
	if len(c.Hits) == 0 || len(c.Misses) == 0 {
		t.Fatal("a case without hits or without misses proves nothing")
	}
	for _, o := range c.Hits {
		if len(c.ask(t, e, o)) == 0 {
			t.Errorf("no answer for %s", o.Raw())
		}
	}
	for _, o := range c.Misses {
		if got := c.ask(t, e, o); len(got) != 0 {
			t.Errorf("an answer for %s: %s", o.Raw(), got[0].Raw())
		}
	}
}

func (c EnricherCase) steady(t *testing.T, e bridge.Enricher) {
	other := c.build(t)
	for _, o := range c.Hits {
		if diff := cmp.Diff(digests(c.ask(t, e, o)), digests(c.ask(t, other, o))); diff != "" {
			t.Errorf("%s: %s", o.ID(), diff)
		}
	}
}

func digests(objs []stix.Object) (d [][32]byte) {
	for _, o := range objs {
		d = append(d, o.Digest())
	}
	return d
}

// loop asks about every answer, and about answers to answers: it must end, at the latest in the third round, with nothing new.
func (c EnricherCase) loop(t *testing.T, e bridge.Enricher) {
	for _, o := range c.Hits {
		known := map[[32]byte]bool{o.Digest(): true}
		ask := []stix.Object{o}
		for range 3 {
			var news []stix.Object
			for _, q := range ask {
				for _, a := range c.ask(t, e, q) {
					if !known[a.Digest()] {
						known[a.Digest()] = true
						news = append(news, a)
					}
				}
			}
			ask = news
		}
		if len(ask) != 0 {
			t.Errorf("%s: still something new after three rounds: %s", o.ID(), ask[0].Raw())
		}
	}
}

func (c EnricherCase) retracts(t *testing.T, e bridge.Enricher) {
	for _, op := range []bridge.Op{bridge.Delete, bridge.Expire, bridge.Retract} {
		for _, o := range c.Hits {
			got, err := e.Enrich(t.Context(), NewEvent(1, op, o))
			if err != nil || len(got) != 0 {
				t.Errorf("%s of %s: %d answers, %v", op, o.ID(), len(got), err)
			}
		}
	}
}

func (c EnricherCase) odd(t *testing.T, e bridge.Enricher) {
	for _, typ := range []string{"indicator", "ipv4-addr", "url", "file", "domain-name", "email-addr", "x-custom", "artifact", "observed-data"} {
		for _, members := range []string{
			``, `,"value":null`, `,"value":7`, `,"value":""`, `,"value":[]`, `,"pattern":null,"pattern_type":"stix"`, `,"pattern":"["`, `,"pattern":"[a:b = '"`,
			`,"hashes":null`, `,"hashes":[]`, `,"hashes":{"MD5":7}`, `,"labels":"text","value":"10.0.0.1"`, `,"labels":[1],"value":"10.0.0.1"`, `,"value":"http://"`,
			`,"value":"` + "\\u0000" + `"`, `,"value":"::"`, `,"value":"` + "\\ud800" + `"`,
		} {
			o, err := stix.Parse([]byte(`{"type":"` + typ + `","id":"` + id(typ, 1) + `"` + members + `}`))
			if err != nil {
				t.Fatalf("%s%s: %v", typ, members, err)
			}
			c.ask(t, e, o)
		}
	}
	if got, err := e.Enrich(t.Context(), NewEvent(1, bridge.Create, stix.Stub("ipv4-addr", id("ipv4-addr", 1)))); err != nil || len(got) != 0 {
		t.Errorf("a stub: %d answers, %v", len(got), err)
	}
}

func (c EnricherCase) cancelled(t *testing.T, e bridge.Enricher) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	returnsInTime(ctx, t, func() error { // an enricher without network may answer all the same
		_, _ = e.Enrich(ctx, NewEvent(1, bridge.Create, c.Hits[0]))
		return context.Canceled
	})
}
