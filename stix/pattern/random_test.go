package pattern

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnyPatternSurvivesItsUsualForm writes random patterns, which have all that the grammar
// has, and reads them again.
func TestAnyPatternSurvivesItsUsualForm(t *testing.T) {
	for seed := range uint64(400) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		p := &Pattern{Root: g.observation(4)}
		text := p.String()
		q, err := Parse(text)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		if diff := cmp.Diff(p, q); diff != "" {
			t.Fatalf("seed %d: %s\n%s", seed, text, diff)
		}
	}
}

type generator struct{ *rand.Rand }

func pick[T any](g generator, list ...T) T { return list[g.IntN(len(list))] }

func (g generator) observation(depth int) Observation {
	switch n := g.IntN(6); {
	case n < 2 && depth > 0:
		c := &Combination{Op: pick(g, And, Or, FollowedBy)}
		for range 2 + g.IntN(2) {
			c.List = append(c.List, g.observation(depth-1))
		}
		return c
	case n == 2 && depth > 0:
		q := &Qualified{Of: g.observation(depth - 1), Kind: pick(g, Within, Repeats, StartStop)}
		switch q.Of.(type) {
		case *Combination:
			q.Group = true
		case *Qualified:
			q.Group = g.IntN(2) == 0
		}
		switch q.Kind {
		case Within:
			q.Number = pick(g, "5", "0.5", ".25", "+3")
		case Repeats:
			q.Number = pick(g, "1", "+12")
		case StartStop:
			q.From, q.To = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00.5Z"
		}
		return q
	}
	return &Test{Expr: g.comparison(depth)}
}

func (g generator) comparison(depth int) Comparison {
	if depth > 0 && g.IntN(2) == 0 {
		l := &Logic{Op: pick(g, And, Or)}
		for range 2 + g.IntN(2) {
			l.List = append(l.List, g.comparison(depth-1))
		}
		return l
	}
	c := &Condition{Path: g.path(), Not: g.IntN(4) == 0, Op: Equal + Op(g.IntN(int(Exists-Equal)+1))}
	switch c.Op {
	case Exists:
	case In:
		c.Values = []Literal{}
		for range g.IntN(4) {
			c.Values = append(c.Values, g.literal())
		}
	case Like, Matches, IsSubset, IsSuperset:
		c.Values = []Literal{{String, g.text()}}
	default:
		l := g.literal()
		for l.Kind == Boolean && c.Op != Equal && c.Op != NotEqual {
			l = g.literal()
		}
		c.Values = []Literal{l}
	}
	return c
}

func (g generator) path() Path {
	p := Path{Type: pick(g, "file", "x-own", "a", "windows_thing"), Steps: []Step{{Name: g.name()}}}
	for range g.IntN(4) {
		switch g.IntN(3) {
		case 0:
			p.Steps = append(p.Steps, Step{List: true, Index: pick(g, Any, 0, 17)})
		default:
			p.Steps = append(p.Steps, Step{Name: g.name()})
		}
	}
	return p
}

func (g generator) name() string {
	return pick(g, "value", "hashes", "SHA-256", "src_ref", "AND", "true", "", "it's", `a\b`, "é", "x y", "1st", "b", "t")
}

func (g generator) literal() Literal {
	return pick(g, Literal{String, g.text()}, Literal{Integer, pick(g, "0", "-5", "+7", "12345678901234567890")}, Literal{Float, pick(g, "0.5", "-.5", "+10.25")},
		Literal{Boolean, pick(g, "true", "false")}, Literal{Binary, "YQ=="}, Literal{Hex, pick(g, "", "00fF")}, Literal{Time, "2026-12-31T23:59:60Z"})
}

func (g generator) text() string {
	var s []rune
	for range g.IntN(6) {
		s = append(s, pick(g, 'a', '\'', '\\', '"', ']', '\n', 'é', '\u2028', '/', '*', ' ', '[', '😀'))
	}
	return string(s)
}
