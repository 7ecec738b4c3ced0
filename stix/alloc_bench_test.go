package stix

import "testing"

// The head of an object without white space to lose aliases the object's own bytes.
func TestTheHeadOfAnObjectIsOneAllocation(t *testing.T) {
	for _, o := range objects(t, attack(t))[:200] {
		if n := testing.AllocsPerRun(5, func() {
			if _, err := Parse(o.Raw()); err != nil {
				t.Fatal(err)
			}
		}); n > 1 {
			t.Errorf("%s: %v allocations, want 1", o.ID(), n)
		}
	}
}
