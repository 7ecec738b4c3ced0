package gate_test

import (
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// passing is an indicator as a live stream brings it, which passes every gate below.
func passing(tb testing.TB) bridge.Event {
	o, err := stix.Parse([]byte(`{"id":"indicator--3f0b0f0e-0000-4000-8000-000000000000","type":"indicator","spec_version":"2.1","created":"2025-10-01T00:00:00.000Z","modified":"2025-10-01T00:00:00.000Z","name":"host.example.org","pattern":"[domain-name:value = 'host.example.org']","pattern_type":"stix","valid_from":"2025-10-01T00:00:00.000Z","confidence":75,"labels":["malicious-activity","bench"],"object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"],"extensions":{"extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba":{"extension_type":"property-extension","type":"Indicator","score":60}}}`))
	if err != nil {
		tb.Fatal(err)
	}
	return bridge.Event{Seq: 1, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Producer: "octi", TLP: stix.Green, Op: bridge.Create, Object: o}
}

// each is a gate alone, and how many allocations an event may cost that passes it.
var each = []struct {
	name   string
	config bridge.ConsumerConfig
	most   float64
}{
	{"none", bridge.ConsumerConfig{}, 0},
	{"producers", bridge.ConsumerConfig{Producers: []string{"octi"}}, 0},
	{"types", bridge.ConsumerConfig{Types: []string{"indicator", "malware"}}, 0},
	{"ops", bridge.ConsumerConfig{Ops: []bridge.Op{bridge.Create}}, 0},
	{"max_tlp", bridge.ConsumerConfig{MaxTLP: "green"}, 1}, // the list of markings
	{"where score", bridge.ConsumerConfig{Where: "score() >= 50"}, 2},
	{"where score, label and confidence", bridge.ConsumerConfig{Where: "score() >= 50 and 'bench' in labels() and confidence > 70"}, 13},
}

func compiled(tb testing.TB, c bridge.ConsumerConfig) *gate.Gate {
	var opt gate.Options
	var err error
	if c.Where != "" {
		if opt.Where, opt.Fickle, err = gate.Expression(c.Where, func(string) (stix.Object, bool) { return stix.Object{}, false }); err != nil {
			tb.Fatal(err)
		}
	}
	g, err := gate.Compile(c, bridge.Traits{}, opt)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func through(tb testing.TB, g *gate.Gate, e bridge.Event) {
	if v := g.Object(gate.Of(e)); !v.Pass {
		tb.Fatalf("held back: %+v", v)
	}
	if v := g.Event(e, nil); !v.Pass {
		tb.Fatalf("held back: %+v", v)
	}
}

// BenchmarkGate is what a gate costs an event that passes it.
func BenchmarkGate(b *testing.B) {
	e := passing(b)
	for _, c := range each {
		b.Run(c.name, func(b *testing.B) {
			g := compiled(b, c.config)
			b.ReportAllocs()
			for b.Loop() {
				through(b, g, e)
			}
		})
	}
}

func TestAnEventThatPassesTheGatesCostsFewAllocations(t *testing.T) {
	e := passing(t)
	for _, c := range each {
		g := compiled(t, c.config)
		if n := testing.AllocsPerRun(100, func() { through(t, g, e) }); n > c.most {
			t.Errorf("gate %s: %v allocations, want at most %v", c.name, n, c.most)
		}
	}
}
