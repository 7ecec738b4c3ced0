package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The whole life of an object: made, changed, expired, prolonged, revoked, gone, there again. After each step the target holds what the
// source does, and in the end it has heard of each step once, in order.
func TestTheWholeLifeOfAnObjectReachesTheTarget(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := newTarget(t, nil)
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s, snapshot: true }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, start: all }\n", g.URL))
	indicator := func(n int, until time.Time, more string) string {
		return thing("indicator", n, fmt.Sprintf(`"pattern":"[domain-name:value = 'a%d.example']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","valid_until":%q%s`, n, until.UTC().Format(time.RFC3339Nano), more))
	}
	later := time.Now().Add(time.Hour)
	write := func(own string) {
		var all []string
		for n := 1; n < 12; n++ { // one of twelve may go
			all = append(all, indicator(n, later, ""))
		}
		if own != "" {
			all = append(all, own)
		}
		s.write("feed.json", bundle(all...))
	}
	id := thingID("indicator", 0)
	until := func(step string, condition func(held line, there bool, heard []string) bool) {
		t.Helper()
		await(t, patience, func() error {
			got := g.got()
			held, there := state(got)[id]
			if heard := ops(got, id); !condition(held, there, heard) {
				return fmt.Errorf("%s: the target holds it %v, and has heard %q", step, there, heard)
			}
			return nil
		})
	}
	soon := time.Now().Add(4 * time.Second)
	write(indicator(0, soon, ""))
	s.start()
	until("made", func(_ line, there bool, heard []string) bool { return there || len(heard) > 1 })
	write(indicator(0, soon, `,"name":"changed"`))
	until("changed and expired", func(_ line, there bool, heard []string) bool { return !there && len(heard) == 3 })
	write(indicator(0, later, `,"name":"prolonged"`))
	until("prolonged", func(_ line, there bool, _ []string) bool { return there })
	write(indicator(0, later, `,"name":"prolonged","revoked":true`))
	until("revoked", func(held line, there bool, heard []string) bool { return there && len(heard) == 5 })
	write("")
	until("gone", func(_ line, there bool, _ []string) bool { return !there })
	write(indicator(0, later, `,"name":"again"`))
	until("there again", func(_ line, there bool, _ []string) bool { return there })
	heard := ops(g.got(), id)
	if want := []string{"unmarked create", "unmarked update", "unmarked expire", "unmarked update", "unmarked update", "unmarked delete", "unmarked create"}; !slices.Equal(heard, want) {
		t.Errorf("the target has heard %q, want %q", heard, want)
	}
	ordered(t, g.got())
}
