package intake_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/intake"
	"github.com/stixbridge/stixbridge/stix"
)

// benchObject is an object of about 1.4 KB, the mean of ATT&CK.
func benchObject(b *testing.B, i int, name string) stix.Object {
	o, err := stix.Parse(fmt.Appendf(nil, `{"type":"tool","spec_version":"2.1","id":"tool--%08x-0000-4000-8000-000000000000","created":"2024-01-01T00:00:00.000Z","modified":"2024-01-01T00:00:00.000Z","name":"%s","description":"%s","x_list":[1,2.5,"three",{"four":null}]}`,
		i, name, strings.Repeat("what it does ", 90)))
	if err != nil {
		b.Fatal(err)
	}
	return o
}

// BenchmarkImport puts objects, and puts the same ones again, into a log on disk that syncs every batch.
func BenchmarkImport(b *testing.B) {
	for _, c := range []struct {
		name, outcome string
		warm          bool
	}{{"new", "create", false}, {"unchanged", "unchanged", true}, {"updated", "update", true}} {
		b.Run(c.name, func(b *testing.B) {
			in := open(b, b.TempDir(), "a").intake("a", intake.Options{})
			objs := make([]bridge.Change, b.N)
			for i := range objs {
				objs[i] = bridge.Change{Object: benchObject(b, i, "x"), Context: bridge.Context{Bundle: "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", Position: i}}
			}
			if c.warm {
				fill(b, in, objs)
			}
			if c.name == "updated" {
				for i := range objs {
					objs[i].Object = benchObject(b, i, "y")
				}
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(objs[0].Object.Raw())))
			b.ResetTimer()
			fill(b, in, objs)
			b.StopTimer()
			if n := in.Counts.ByOutcome()[c.outcome]; n != uint64(b.N) {
				b.Fatalf("%d of %d are %s", n, b.N, c.outcome)
			}
		})
	}
}

// BenchmarkLatestOf asks what the producers assert about one object, as sinks do for each reference.
func BenchmarkLatestOf(b *testing.B) {
	w := open(b, b.TempDir(), "a")
	o := benchObject(b, 1, "x")
	fill(b, w.intake("a", intake.Options{}), []bridge.Change{{Object: o}})
	b.ReportAllocs()
	for b.Loop() {
		if all, err := w.Latest.Of(b.Context(), o.Type(), o.ID()); err != nil || len(all) != 1 {
			b.Fatal(len(all), err)
		}
	}
}

// fill puts changes and waits until they are in the log and projected.
func fill(b *testing.B, in *intake.Intake, c []bridge.Change) {
	if err := in.Put(b.Context(), c...); err != nil {
		b.Fatal(err)
	}
	if err := in.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
