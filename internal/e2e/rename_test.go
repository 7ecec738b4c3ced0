package e2e

import (
	"strings"
	"testing"
)

// A new name that looks like an old one renamed is refused with the remedy, and with the remedy nothing comes twice.
func TestRenamedProducerOrConsumerIsRefusedUntilItSaysWhatItWas(t *testing.T) {
	feed := newCorpus("thing", 20)
	sections := func(producer, consumer string) string {
		return "producers:\n  - { kind: stix, path: DIR/feed.json, snapshot: true, " + producer + " }\nconsumers:\n  - { kind: file, path: DIR/out.jsonl, " + consumer + " }\n"
	}
	s := newSite(t, sections("name: feed", "name: out"))
	s.write("feed.json", feed.bundle())
	s.once(0)
	for _, c := range []struct {
		name, producer, consumer, remedy, renamedProducer, renamedConsumer string
	}{
		{"consumer", "name: feed", "name: archive", "was: out", "name: feed", "name: archive, was: out"},
		{"producer", "name: source", "name: archive", "was: feed", "name: source, was: feed", "name: archive"},
	} {
		s.configure(sections(c.producer, c.consumer))
		for _, command := range [][]string{{"run"}, {"run", "--once"}} {
			r := s.must(2, command...)
			if !strings.Contains(r.err, c.remedy) || !strings.Contains(r.err, "was: none") || !strings.Contains(r.err, "stixbridge.yaml:") {
				t.Errorf("%s renamed without was: %s", c.name, r)
			}
		}
		s.configure(sections(c.renamedProducer, c.renamedConsumer))
		for range 2 { // was stays in the file
			if _, added := s.once(0); len(added) != 0 {
				t.Errorf("%s renamed: %d events", c.name, len(added))
			}
		}
		if n := len(read(t, s.path("out.jsonl"))); n != 20 {
			t.Errorf("%s renamed: the file has %d lines, want 20", c.name, n)
		}
	}
	// The new names go on where the old ones stood.
	s.configure(sections("name: source", "name: archive"))
	feed.rev[3]++
	feed.rev = feed.rev[:19]
	s.write("feed.json", feed.bundle())
	_, added := s.once(0)
	if len(added) != 2 || added[0].Op != "update" || added[1].Op != "delete" || added[0].Producer != "source" {
		t.Errorf("a change and a deletion after the renaming: %+v", added)
	}
	feed.holds(t, read(t, s.path("out.jsonl")))

	s.configure(sections("name: other, was: none", "name: archive"))
	if _, added := s.once(0); len(added) != 19 {
		t.Errorf("was: none: %d events, want a first import", len(added))
	}
}
