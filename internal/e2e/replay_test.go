package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Everything replayed to an emptied target brings what there is today: no deleted object, no older version over a newer one, nothing above
// today's TLP.
func TestReplayToAnEmptiedTargetBringsTheCurrentState(t *testing.T) {
	g, other := newTarget(t, nil), newTarget(t, nil)
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, tlp: green, snapshot: true }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: [feed] }\n  - { kind: webhook, name: other, url: %q, producers: [feed] }\n", g.URL, other.URL))
	feed := newCorpus("thing", 60)
	extra := func(mark string) string { return thing("tool", 1, `"name":"classified",`+mark) }
	for i, mark := range []string{markGreen, markGreen, markRed} {
		for j := range feed.rev {
			if i > 0 && j%3 == i {
				feed.rev[j]++
			}
		}
		if i == 2 {
			feed.rev = feed.rev[:58] // two of them are gone
		}
		s.write("feed.json", strings.Replace(feed.bundle(), "]}", ","+extra(mark)+"]}", 1))
		s.must(0, "run", "--once")
	}
	live, quiet := len(g.got()), len(other.got())
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			var p *process
			if running {
				p = s.start()
				p.settled()
			}
			from := len(g.got())
			r := s.must(0, "replay", "soc", "--from-seq", "1")
			if !strings.Contains(r.out, "is through") {
				t.Errorf("replay says %q", r.out)
			}
			got := g.got()[from:] // an emptied target knows nothing of what came before
			feed.holds(t, got)
			if n := ops(got, thingID("tool", 1)); slices.ContainsFunc(n, func(op string) bool { return !strings.HasSuffix(op, "retract") && !strings.HasSuffix(op, "delete") }) {
				t.Errorf("what is red today was replayed: %q", n)
			}
			seen := map[string]int{}
			for _, l := range got {
				if seen[l.ID]++; seen[l.ID] == 2 {
					t.Errorf("%s came twice", l.ID)
				}
			}
			ordered(t, g.got())
			if n := len(other.got()); n != quiet {
				t.Errorf("the other sink got %d events of it", n-quiet)
			}
			if running {
				p.settled()
				p.stop()
			}
		})
	}
	if live == 0 {
		t.Error("nothing was delivered in the first place")
	}
	if r := s.must(2, "replay", "soc"); !strings.Contains(r.err, "say which span") {
		t.Errorf("replay without a span says %s", r)
	}
}
