package gate

import (
	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Event says whether the target wants to hear of this event, its object having passed. before returns the version before from
// the same producer when that one passed the object checks too, and false when there is none or it is not known; it is called
// only when a changed gate needs it.
func (g *Gate) Event(e bridge.Event, before func() (stix.Object, bool)) Verdict {
	if e.Op == bridge.Retract {
		return pass // never to be filtered: somebody may no longer hold this
	}
	if g.ops != nil && !g.ops[e.Op] {
		return held(Ops)
	}
	if !g.backfill && e.Context.Backfill {
		return held(Backfill)
	}
	if len(g.changed) == 0 || (e.Op != bridge.Update && e.Op != bridge.Merge) || e.Context.Prev == 0 {
		return pass
	}
	old, ok := before()
	if ok && !touched(g.changed, old, e.Object) {
		return held(Changed)
	}
	return pass
}

// NeedsBefore reports whether Event would ask for the version before.
func (g *Gate) NeedsBefore(e bridge.Event) bool {
	return len(g.changed) > 0 && (e.Op == bridge.Update || e.Op == bridge.Merge) && e.Context.Prev > 0
}
