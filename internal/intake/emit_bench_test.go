package intake

import (
	"fmt"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

// BenchmarkEmit makes the message of a new object, and the one that projects it.
func BenchmarkEmit(b *testing.B) {
	raw := `{"type":"tool","spec_version":"2.1","id":"tool--3f0b0f0e-0000-4000-8000-000000000000","created":"2024-01-01T00:00:00.000Z","modified":"2024-01-01T00:00:00.000Z","name":"x"}`
	o, err := stix.Parse([]byte(raw))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		context bridge.Context
	}{
		{"of a feed", bridge.Context{Bundle: "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", Position: 1234, Backfill: true}},
		{"of a live stream", bridge.Context{Origin: &bridge.Origin{Platform: "0b1f7c52-6d1e-5f0a-9a6b-5a3f2f3c1d01", User: "88ec0c6a-13ce-5e39-b486-354fe4a7084f"}, SourceEvent: "0123456789abcdef0123456789abcdef"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := &Intake{opt: Options{Producer: "octi"}, overlay: map[string]*pending{}}
			e := event{key: eventlog.LatestSubject(o.Type(), o.ID(), "octi"), ctx: c.context, modified: o.Modified(), object: o, whole: true,
				subject: eventlog.Subject{Producer: "octi", TLP: stix.Clear, Op: bridge.Create, Type: o.Type(), Partition: 7}}
			e.state.Subject, e.state.ID, e.state.Digest, e.state.Data = e.subject, o.ID(), fmt.Sprintf("%032x", 7), o.Raw()
			b.ReportAllocs()
			for b.Loop() {
				g := &group{at: -1, touched: map[string]bool{}}
				if err := in.emit(g, e); err != nil {
					b.Fatal(err)
				}
				if m := in.entryMessage(g.after[0].entry); m.Subject == "" {
					b.Fatal("no subject")
				}
			}
		})
	}
}
