package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// One element in ten thousand that is JSON but no object of STIX: the others arrive, it becomes a dead letter that says where it stood and why,
// and after repair it enters by its letter.
func TestOneMalformedElementAmongTenThousandIsADeadLetterAndTheOthersArrive(t *testing.T) {
	const n, at = 10_000, 4711
	for _, c := range []struct {
		name, element, reason string
	}{
		{"a number", "17", "object"},
		{"an object without id", `{"type":"malware","name":"nameless"}`, "id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, "consumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n")
			feed := newCorpus("thing", n)
			parts := strings.SplitAfter(feed.bundle(), ",\n")
			good := parts[at]
			parts[at] = c.element + ",\n"
			s.write("feed.json", strings.Join(parts, ""))
			r := s.must(1, "import", "--producer", "feed", "feed.json")
			if !strings.Contains(r.out, "9999 new, 1 dead letters") || !strings.Contains(r.err, "dlq list feed") {
				t.Errorf("import says %s", r)
			}
			letters := s.letters()
			if len(letters) != 1 {
				t.Fatalf("letters %+v, want one", letters)
			}
			l := letters[0]
			if l.Name != "feed" || !strings.Contains(l.Position, "feed.json") || !strings.HasSuffix(l.Position, fmt.Sprint("#", at)) || !strings.Contains(l.Reason, c.reason) {
				t.Errorf("letter %+v: want the producer, file and element %d, and the reason", l, at)
			}
			s.must(0, "run", "--once")
			if got := len(read(t, s.path("out.jsonl"))); got != n-1 {
				t.Errorf("%d delivered, want %d", got, n-1)
			}
			if r := s.must(1, "dlq", "redrive", fmt.Sprint(l.Seq)); !strings.Contains(r.err, "--with FILE") {
				t.Errorf("redrive without repair says %s", r)
			}
			s.write("fixed.json", strings.TrimSuffix(good, ",\n"))
			s.must(0, "dlq", "redrive", fmt.Sprint(l.Seq), "--with", "fixed.json")
			s.must(0, "run", "--once")
			got := read(t, s.path("out.jsonl"))
			complete(t, s.tap(), got)
			feed.holds(t, got)
			if len(got) != n {
				t.Errorf("%d delivered after the repair, want %d", len(got), n)
			}
			if left := s.letters(); len(left) != 0 {
				t.Errorf("letters after the repair: %+v", left)
			}
			// The repaired input again brings nothing new.
			s.write("feed.json", feed.bundle())
			if out := s.must(0, "import", "--producer", "feed", "feed.json").out; !strings.Contains(out, "0 new, 10000 unchanged") {
				t.Errorf("import of the mended file says %s", out)
			}
		})
	}
}
