package bridge_test

import (
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

func lined(tb testing.TB) bridge.Event {
	o, err := stix.Parse([]byte(`{"id":"indicator--3f0b0f0e-0000-4000-8000-000000000000","type":"indicator","spec_version":"2.1","name":"host.example.org","pattern":"[domain-name:value = 'host.example.org']","pattern_type":"stix","valid_from":"2025-10-01T00:00:00.000Z"}`))
	if err != nil {
		tb.Fatal(err)
	}
	return bridge.Event{Seq: 1, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), ID: "0123456789abcdef0123456789abcdef", Producer: "octi", TLP: stix.Green, Op: bridge.Create, Object: o}
}

// BenchmarkLine writes an event as files, webhooks and tap show it.
func BenchmarkLine(b *testing.B) {
	e := lined(b)
	for _, c := range []struct {
		name    string
		context bridge.Context
	}{
		{"no context", bridge.Context{}},
		{"of a feed", bridge.Context{Bundle: "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", Position: 1234, Backfill: true}},
		{"of a live stream", bridge.Context{Origin: &bridge.Origin{Platform: "0b1f7c52-6d1e-5f0a-9a6b-5a3f2f3c1d01", User: "88ec0c6a-13ce-5e39-b486-354fe4a7084f"}, Prev: 12, SourceEvent: "0123456789abcdef"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			e.Context = c.context
			var line []byte
			b.ReportAllocs()
			for b.Loop() {
				line = e.Line(line[:0])
			}
			b.SetBytes(int64(len(line)))
		})
	}
}

// An event that is only passed on is copied, never decoded.
func TestALineCostsNoAllocation(t *testing.T) {
	e := lined(t)
	e.Context = bridge.Context{Origin: &bridge.Origin{Platform: "p", User: "u"}, Prev: 12, SourceEvent: "0123456789abcdef"}
	var line []byte
	if n := testing.AllocsPerRun(100, func() { line = e.Line(line[:0]) }); n > 0 {
		t.Errorf("%v allocations a line, want none", n)
	}
}
