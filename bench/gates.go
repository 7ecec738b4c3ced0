package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// gated are gates that pass an indicator of a live stream, each alone.
var gated = map[string]bridge.ConsumerConfig{
	"producers":                          {Producers: []string{"octi"}},
	"types":                              {Types: []string{"indicator", "malware"}},
	"ops":                                {Ops: []bridge.Op{bridge.Create, bridge.Update}},
	"max_tlp":                            {MaxTLP: "green", AllowMarkings: []string{"*"}},
	"where, one comparison":              {Where: "score() >= 50"},
	"where, three":                       {Where: "score() >= 50 and 'bench' in labels() and confidence > 70"},
	"all of them, as a user would do it": {Producers: []string{"octi"}, Types: []string{"indicator"}, MaxTLP: "green", Where: "score() >= 50"},
}

// gates prints what each gate costs an event that passes it.
func gates(_ context.Context, b *bench) error {
	o, err := stix.Parse(indicator(1))
	if err != nil {
		return err
	}
	e := bridge.Event{Seq: 1, Time: time.Now(), Producer: "octi", TLP: stix.Green, Op: bridge.Create, Object: o}
	for _, name := range slices.Sorted(maps.Keys(gated)) {
		c := gated[name]
		opt := gate.Options{}
		if c.Where != "" {
			if opt.Where, opt.Fickle, err = gate.Expression(c.Where, func(string) (stix.Object, bool) { return stix.Object{}, false }); err != nil {
				return err
			}
		}
		g, err := gate.Compile(c, bridge.Traits{}, opt)
		if err != nil {
			return err
		}
		refused := gate.Verdict{Pass: true}
		r := testing.Benchmark(func(t *testing.B) {
			t.ReportAllocs()
			for t.Loop() {
				if v := g.Object(gate.Of(e)); !v.Pass {
					refused = v
				}
				if v := g.Event(e, nil); !v.Pass {
					refused = v
				}
			}
		})
		if !refused.Pass {
			return fmt.Errorf("gate %s holds the event back: %+v", name, refused)
		}
		b.add(result{Name: "gate " + name, Ours: float64(r.NsPerOp()), Unit: "ns an event", Runs: 1, Met: true, Note: fmt.Sprintf("%d allocations", r.AllocsPerOp())})
	}
	return nil
}
