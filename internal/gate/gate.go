// Package gate decides what may reach a target: checks on the object (who says it, what it is, how it is marked, what it holds)
// and checks on the event (what happened, what it touched). Object checks answer "may the target hold this?", so that a version
// which fails after one that passed can be taken back; event checks answer "does the target want to hear of this?".
package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Names of the gates, as status, metrics and summaries show them.
const (
	Producers     = "producers"
	Types         = "types"
	MaxTLP        = "max_tlp"
	Markings      = "markings"
	Organizations = "organizations"
	Where         = "where"
	Expired       = "expired"
	Ops           = "ops"
	Changed       = "changed"
	Backfill      = "backfill"
	Prefer        = "prefer"     // another producer is preferred and asserts the object
	Superseded    = "superseded" // what follows in the log makes this one needless
)

// Condition is a compiled where expression.
type Condition func(v View) (pass, missing bool, err error)

// Options are what a gate needs beside the consumer's own configuration.
type Options struct {
	Markings *stix.Markings                        // what marking ids mean; nil: the well-known ones only
	Name     func(markingID string) (string, bool) // name of a marking, for allow_markings by name; may be nil
	Where    Condition                             // of the configuration's where (see Expression); nil without one
	Fickle   bool                                  // where asks for other objects
}

// View is what the object checks look at.
type View struct {
	Producer string
	TLP      stix.TLP // level of the event's subject
	Op       bridge.Op
	Object   stix.Object
	Time     time.Time // of the event
	Held     bool      // the target may hold the object already (delete, expire, retract): that it expired since is no reason
}

// Of is the view of an event.
func Of(e bridge.Event) View {
	return View{Producer: e.Producer, TLP: e.TLP, Op: e.Op, Object: e.Object, Time: e.Time, Held: e.Retracts()}
}

// Verdict says whether a check let it pass, and which one did not.
type Verdict struct {
	Pass    bool
	Gate    string // the check that held it back
	Missing bool   // a comparison met a property that the object does not have
	Err     error  // the expression could not be evaluated; counts as held back
}

var pass = Verdict{Pass: true}

func held(gate string) Verdict { return Verdict{Gate: gate} }

// Gate is a consumer's compiled gates; it is safe for concurrent use.
type Gate struct {
	producers     map[string]bool // nil: all
	types         map[string]bool // nil: all
	ops           map[bridge.Op]bool
	ceiling       stix.TLP
	unmarked      stix.TLP
	marked        bool // markings decide
	allow         []string
	allowAny      bool
	organizations map[string]bool
	shared        bool // organization sharing decides
	expired       bool
	backfill      bool
	changed       []string
	markings      *stix.Markings
	name          func(string) (string, bool)
	where         Condition
	fickle        bool
}

// Compile makes the gates of a consumer. Its errors name the key.
func Compile(c bridge.ConsumerConfig, traits bridge.Traits, opt Options) (*Gate, error) {
	g := &Gate{
		expired: c.Expired, backfill: c.Backfill == nil || *c.Backfill,
		markings: opt.Markings, name: opt.Name, where: opt.Where, fickle: opt.Fickle,
		ceiling: stix.Red, unmarked: stix.Amber,
		shared: traits.Leaves || len(c.Organizations) > 0, organizations: set(c.Organizations),
		types: set(c.Types), ops: set(c.Ops),
	}
	if g.markings == nil {
		g.markings = &stix.Markings{}
	}
	if !slices.Contains(c.Producers, "*") {
		g.producers = set(c.Producers)
	}
	if traits.Leaves {
		g.ceiling = stix.Green
		if len(c.Producers) == 0 {
			return nil, fmt.Errorf("producers: a target outside the house must name what may go there: list producers, or \"*\" for all")
		}
	}
	for key, v := range map[string]struct {
		text string
		into *stix.TLP
	}{"max_tlp": {c.MaxTLP, &g.ceiling}, "unmarked_as": {c.UnmarkedAs, &g.unmarked}} {
		if v.text == "" {
			continue
		}
		level, err := stix.ParseTLP(v.text)
		if err != nil || level == stix.Unmarked {
			return nil, fmt.Errorf("%s: %q is no TLP: want clear, green, amber, amber+strict or red", key, v.text)
		}
		*v.into = level
	}
	if c.Where != "" && opt.Where == nil {
		return nil, fmt.Errorf("where: the expression was not compiled")
	}
	g.allow, g.allowAny = c.AllowMarkings, slices.Contains(c.AllowMarkings, "*")
	g.marked = g.ceiling.Rank() < stix.Red.Rank() || traits.Leaves
	if !traits.Leaves {
		g.allowAny = true
	}
	for _, p := range c.Changed {
		if volatile[p] {
			return nil, fmt.Errorf("changed: %s changes with every version and never counts as a change: name what matters to the target", p)
		}
	}
	g.changed = c.Changed
	return g, nil
}

func set[T comparable](all []T) map[T]bool {
	if len(all) == 0 {
		return nil
	}
	m := make(map[T]bool, len(all))
	for _, v := range all {
		m[v] = true
	}
	return m
}

// Ceiling is the highest TLP that may pass.
func (g *Gate) Ceiling() stix.TLP { return g.ceiling }

// Producer reports whether a producer's events can pass at all.
func (g *Gate) Producer(name string) bool { return g.producers == nil || g.producers[name] }

// Fickle reports whether a verdict may be another one later, for the same version.
func (g *Gate) Fickle(v Verdict) bool { return g.fickle && v.Gate == Where }

// Names returns the producers and types that can pass; nil for all.
func (g *Gate) Names() (producers, types []string) { return keys(g.producers), keys(g.types) }

func keys(m map[string]bool) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// Several reports whether more than one producer can pass.
func (g *Gate) Several() bool { return len(g.producers) != 1 }

// Rank is what a subject's level counts as at this gate.
func (g *Gate) Rank(t stix.TLP) int {
	if t == stix.Unmarked {
		t = g.unmarked
	}
	return t.Rank()
}

// Level reports whether a level is within the ceiling.
func (g *Gate) Level(t stix.TLP) bool { return g.Rank(t) <= g.ceiling.Rank() }

// Never reports whether no version of the object from the same producer can pass when one failed this check.
func Never(gate string) bool { return gate == Producers || gate == Types }

// Object says whether the target may hold this version.
func (g *Gate) Object(v View) Verdict {
	if g.producers != nil && !g.producers[v.Producer] {
		return held(Producers)
	}
	if g.types != nil && !g.types[v.Object.Type()] {
		return held(Types)
	}
	if !g.Level(v.TLP) {
		return held(MaxTLP)
	}
	if g.marked {
		if gate := g.mark(v.Object); gate != "" {
			return held(gate)
		}
	}
	if g.shares(v.Object) {
		return held(Organizations)
	}
	if !g.expired && !v.Held && over(v.Object.ValidUntil(), v.Time) {
		return held(Expired)
	}
	if g.where == nil {
		return pass
	}
	ok, missing, err := g.where(v)
	if err != nil || !ok {
		return Verdict{Gate: Where, Missing: missing, Err: err}
	}
	return Verdict{Pass: true, Missing: missing}
}

// Leave reports whether what an object holds may go to the target beside an event: producer, level, markings and sharing, whatever its type.
func (g *Gate) Leave(v View) bool {
	if !g.Producer(v.Producer) || !g.Level(v.TLP) || (g.marked && g.mark(v.Object) != "") {
		return false
	}
	return !g.shares(v.Object)
}

// shares reports whether the object is shared with organizations that the target does not serve.
func (g *Gate) shares(o stix.Object) bool {
	if !g.shared {
		return false
	}
	refs := o.GrantedRefs()
	return len(refs) > 0 && !slices.ContainsFunc(refs, func(id string) bool { return g.organizations[id] })
}

// mark looks at each marking: a TLP that was learned after the event was published counts too, and what nobody knows stays in the house.
func (g *Gate) mark(o stix.Object) string {
	for _, id := range o.Markings() {
		level, tlp, statement := g.markings.Known(id)
		switch {
		case tlp:
			if !g.Level(level) {
				return MaxTLP
			}
		case statement, g.allowAny, slices.Contains(g.allow, id):
		default:
			if g.name != nil {
				if name, ok := g.name(id); ok && slices.ContainsFunc(g.allow, func(a string) bool { return strings.EqualFold(a, name) }) {
					continue
				}
			}
			return Markings
		}
	}
	return ""
}

// over reports whether a valid_until is at or before t.
func over(until string, t time.Time) bool {
	if until == "" || t.IsZero() {
		return false
	}
	end, err := time.Parse(time.RFC3339Nano, until)
	return err == nil && !end.After(t)
}
