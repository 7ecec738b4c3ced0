package pattern

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stixbridge/stixbridge/stix"
)

// feeds are the patterns of real feeds: a day that is at hand, and a month if the data are
// beside the project.
func feeds(tb testing.TB) (list []string) {
	tb.Helper()
	more, err := filepath.Glob("../../../shared/data/taxii-tweetfeed/*/*.json*")
	if err != nil {
		tb.Fatal(err)
	}
	others, err := filepath.Glob("../../../shared/data/stix-unit42-reports/*.json*")
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range slices.Concat([]string{"../../testdata/tweetfeed.json"}, more, others) {
		raw, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		opened, err := stix.Open(bytes.NewReader(raw))
		if err != nil {
			tb.Fatal(err)
		}
		r := stix.NewReader(opened)
		for {
			e, err := r.Next()
			if err != nil {
				if err != io.EOF {
					tb.Logf("%s: %v", path, err)
				}
				break
			}
			if e.Err == nil && e.Object.Type() == "indicator" {
				list = append(list, e.Object.Text("pattern"))
			}
		}
		opened.Close()
	}
	if len(list) < 59 {
		tb.Fatalf("only %d patterns", len(list))
	}
	return list
}

func TestPatternsOfRealFeeds(t *testing.T) {
	list := feeds(t)
	extracted := 0
	for _, src := range list {
		p, err := Parse(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if again, err := Parse(p.String()); err != nil || again.String() != p.String() {
			t.Errorf("%s: its usual form %s is not its own: %v", src, p, err)
		}
		if _, err := p.Extract(); err == nil {
			extracted++
		}
	}
	t.Logf("%d of %d patterns can be extracted", extracted, len(list))
	if extracted*100 < len(list)*95 {
		t.Errorf("only %d of %d patterns can be extracted", extracted, len(list))
	}
}

// BenchmarkMillion parses, and extracts, a million patterns of real feeds in each round.
func BenchmarkMillion(b *testing.B) {
	const million = 1_000_000
	list := feeds(b)
	for name, do := range map[string]func(string) error{
		"parse":   func(src string) error { _, err := Parse(src); return err },
		"extract": func(src string) error { _, err := Extract(src); return err },
	} {
		b.Run(name, func(b *testing.B) {
			good := slices.DeleteFunc(slices.Clone(list), func(src string) bool { return do(src) != nil })
			b.ReportAllocs()
			for b.Loop() {
				for i := range million {
					if err := do(good[i%len(good)]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(million*float64(b.N)/b.Elapsed().Seconds(), "patterns/s")
		})
	}
}
