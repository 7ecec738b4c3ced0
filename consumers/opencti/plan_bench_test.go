package opencti

import (
	"log/slog"
	"os"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/stix"
)

// BenchmarkPlan is what a call costs before it publishes: ATT&CK, whose objects refer to each other, in batches as the runtime makes them.
func BenchmarkPlan(b *testing.B) {
	f, err := os.Open("../../testdata/ics-attack.json.gz")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := stix.Open(f)
	if err != nil {
		b.Fatal(err)
	}
	var batch []bridge.Event
	bytes := 0
	for r := stix.NewReader(z); len(batch) < 1000; {
		e, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		batch = append(batch, bridgetest.NewEvent(uint64(len(batch)+1), bridge.Create, e.Object))
		bytes += len(e.Object.Raw())
	}
	s := &sink{Config: Config{OnDelete: "auto"}, env: new(bridgetest.Vault).Env("bench", b.TempDir(), nil)}
	s.env.Log = slog.New(slog.DiscardHandler)
	s.memory.most = rememberObjects
	envelope := s.envelope(&session{user: "11111111-0000-4000-8000-000000000000"})
	k := &work{id: "work_11111111-0000-4000-8000-000000000000_2026-11-20T10:00:00.000Z"}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	messages := 0
	for b.Loop() {
		var failed bridge.BatchError
		cards, err := s.read(b.Context(), batch, &failed)
		if err != nil {
			b.Fatal(err)
		}
		p := s.plan(bundleID(batch[0].ID), cards, s.memory.book(1, nil))
		messages = 0
		for chunk := p.chunk(chunkSize); len(chunk) > 0; chunk = p.chunk(chunkSize) {
			pieces, err := p.pieces(b.Context(), chunk)
			if err != nil {
				b.Fatal(err)
			}
			for _, one := range pieces {
				one.work = k
				messages++
				envelope.message(batch, one, messages)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/event")
	b.ReportMetric(float64(messages), "messages")
}
