package chaos

import (
	"slices"
	"testing"
)

func TestASeedDealsTheSameFaultsAgainAndEachOnce(t *testing.T) {
	faults := []string{"a", "b", "c", "d", "e", "f"}
	deal := func(seed, track uint64) (all []Step) {
		d := NewDeck(seed, track, faults)
		for range 2 * len(faults) {
			all = append(all, d.Next())
		}
		return all
	}
	one := deal(7, 1)
	if !slices.Equal(one, deal(7, 1)) {
		t.Error("the same seed deals another schedule")
	}
	if slices.Equal(one, deal(8, 1)) || slices.Equal(one, deal(7, 2)) {
		t.Error("another seed or track deals the same schedule")
	}
	for _, round := range [][]Step{one[:6], one[6:]} {
		var names []string
		for _, s := range round {
			names = append(names, s.Fault)
			if s.After <= 0 || s.Hold <= 0 {
				t.Errorf("step %+v has no length", s)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, faults) {
			t.Errorf("a round has %q", names)
		}
	}
}
