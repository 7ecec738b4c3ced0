package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// An enricher says what it knows as a producer of its own name, at the level of what it was told, once; and takes it back.
func TestEnricherAddsLabelsUnderItsOwnNameOnceAtTheSameLevel(t *testing.T) {
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+
		"  - { kind: warninglist, name: warnings, lists: [%q] }\n  - { kind: file, name: out, path: DIR/out.jsonl }\n", warninglists(t)))
	indicator := func(address, more string) string {
		return thing("indicator", 1, fmt.Sprintf(`"pattern":"[ipv4-addr:value = '%s']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z",%s`, address, more))
	}
	id := thingID("indicator", 1)
	step := func(object string, want ...string) {
		t.Helper()
		s.write("feed.json", bundle(object, thing("malware", 2, `"name":"nothing to say","is_family":false`)))
		for range 2 { // a fixpoint: the second time nothing is left to say
			s.must(0, "run", "--once")
			var got []string
			for _, l := range s.tap() {
				if l.ID == id {
					got = append(got, l.Producer+" "+l.TLP+" "+l.Op)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("events %q, want %q", got, want)
			}
		}
	}
	said := []string{"feed amber create", "warnings amber create"}
	step(indicator("8.8.8.8", markAmber), said...)
	log := s.tap("--producer", "warnings")
	if len(log) != 1 || !strings.Contains(string(log[0].Object), `"labels":["warninglist:public-dns-v4"]`) || !strings.Contains(string(log[0].Context), `"warnings"`) {
		t.Errorf("the enricher's events: %+v", log)
	}
	said = append(said, "feed amber update", "warnings amber update")
	step(indicator("8.8.8.8", markAmber+`,"confidence":80`), said...)
	said = append(said, "feed amber update", "warnings amber delete")
	step(indicator("203.0.113.77", markAmber), said...)
	complete(t, s.tap(), read(t, s.path("out.jsonl")))
	singular(t, s.tap())
}

// Two enrichers that know the same do not answer each other without end.
func TestTwoEnrichersDoNotAnswerEachOtherForEver(t *testing.T) {
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+
		"  - { kind: warninglist, name: left, lists: [%[1]q], label: 'left:{list}' }\n  - { kind: warninglist, name: right, lists: [%[1]q], label: 'right:{list}' }\n", warninglists(t)))
	s.write("feed.json", bundle(fmt.Sprintf(`{"type":"ipv4-addr","spec_version":"2.1","id":%q,"value":"1.1.1.1"}`, thingID("ipv4-addr", 1))))
	s.must(0, "run", "--once")
	n := len(s.tap())
	s.must(0, "run", "--once")
	if again := len(s.tap()); again != n || n > 6 {
		t.Errorf("%d events, after another run %d", n, again)
	}
}
