package pattern

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// ErrNotSimple is a pattern whose meaning goes beyond one observable: several observations
// together, in a sequence, or in a period.
var ErrNotSimple = errors.New("the pattern is about more than one observable")

// Resolver finds the object behind a reference.
type Resolver func(id string) (stix.Object, bool)

// Match reports whether one observable matches. Patterns of one observation, or of several
// joined by OR, can be matched; others give [ErrNotSimple]. A path that leads through a
// reference asks resolve (which may be nil: then nothing is found there). A property that
// is missing makes a comparison false, whatever its operator.
func (p *Pattern) Match(o stix.Object, resolve Resolver) (bool, error) {
	simple := true
	p.observations(func(o Observation) {
		c, ok := o.(*Combination)
		_, qualified := o.(*Qualified)
		simple = simple && !qualified && (!ok || c.Op == Or)
	})
	if !simple {
		return false, ErrNotSimple
	}
	m := matcher{object: o, resolve: resolve}
	found := false
	p.observations(func(o Observation) {
		if t, ok := o.(*Test); ok && !found {
			found = m.comparison(t.Expr)
		}
	})
	return found, m.err
}

type matcher struct {
	object  stix.Object
	resolve Resolver
	err     error
}

func (m *matcher) comparison(c Comparison) bool {
	switch c := c.(type) {
	case *Logic:
		for _, part := range c.List {
			if m.comparison(part) == (c.Op == Or) {
				return c.Op == Or
			}
		}
		return c.Op == And
	case *Condition:
		return m.condition(c)
	}
	return false
}

func (m *matcher) condition(c *Condition) bool {
	if c.Path.Type != m.object.Type() {
		return false
	}
	values := m.values(nil, m.object, nil, c.Path.Steps, 0)
	if c.Op == Exists {
		return (len(values) > 0) != c.Not
	}
	for _, v := range values {
		for _, want := range c.Values {
			if ok, known := m.test(c.Op, v, want); known && ok {
				return !c.Not
			}
		}
	}
	return c.Not && len(values) > 0
}

// maxReferences bounds how many references a path may follow.
const maxReferences = 8

// values are the raw values at the end of a path: several where an index is *.
func (m *matcher) values(found [][]byte, o stix.Object, at []string, steps []Step, refs int) [][]byte {
	if len(steps) == 0 {
		if raw, ok := o.Get(at...); ok {
			found = append(found, raw)
		}
		return found
	}
	s, rest := steps[0], steps[1:]
	key := s.Name
	if s.List {
		key = strconv.Itoa(s.Index)
	}
	// After a reference the path goes on in the object behind it.
	if n := len(at); n > 0 && !s.List && refs < maxReferences && m.resolve != nil {
		last := at[n-1]
		list := n > 1 && strings.HasSuffix(at[n-2], "_refs")
		if strings.HasSuffix(last, "_ref") || list {
			if id := o.Text(at...); id != "" {
				if target, ok := m.resolve(id); ok {
					return m.values(found, target, nil, steps, refs+1)
				}
			}
			return found
		}
	}
	if !s.List || s.Index != Any {
		return m.values(found, o, append(at[:len(at):len(at)], key), rest, refs)
	}
	for i := 0; ; i++ {
		next := append(at[:len(at):len(at)], strconv.Itoa(i))
		if _, ok := o.Get(next...); !ok {
			return found
		}
		found = m.values(found, o, next, rest, refs)
	}
}

// test compares a raw value with a constant; known is false where they cannot be compared.
func (m *matcher) test(op Op, raw []byte, want Literal) (ok, known bool) {
	if raw[0] == '{' || raw[0] == '[' || raw[0] == 'n' {
		return false, false
	}
	have := string(raw)
	isText := raw[0] == '"'
	if isText {
		o, err := stix.Parse(append(append([]byte(`{"type":"x","id":"x","v":`), raw...), '}'))
		if err != nil {
			return false, false
		}
		have = o.Text("v")
	}
	switch op {
	case Like, Matches:
		expr := want.Text
		if op == Like {
			expr = likeExpr(want.Text)
		}
		re, err := regexp.Compile(expr)
		if err != nil {
			if m.err == nil {
				m.err = fmt.Errorf("MATCHES: %w", err)
			}
			return false, false
		}
		return isText && re.MatchString(have), isText
	case IsSubset, IsSuperset:
		inner, outer := have, want.Text
		if op == IsSuperset {
			inner, outer = outer, inner
		}
		return subset(inner, outer), isText
	}
	order, known := compare(have, isText, want)
	if !known {
		return op == NotEqual, true
	}
	switch op {
	case Equal, In:
		return order == 0, true
	case NotEqual:
		return order != 0, true
	case Less:
		return order < 0, true
	case LessEqual:
		return order <= 0, true
	case Greater:
		return order > 0, true
	case GreaterEqual:
		return order >= 0, true
	}
	return false, false
}

// compare orders a value and a constant of the same kind.
func compare(have string, isText bool, want Literal) (order int, known bool) {
	switch want.Kind {
	case Integer, Float:
		x, ok := rational(have)
		y, also := rational(want.Text)
		if isText || !ok || !also {
			return 0, false
		}
		return x.Cmp(y), true
	case Boolean:
		return strings.Compare(have, want.Text), !isText && (have == "true" || have == "false")
	}
	return strings.Compare(have, want.Text), isText
}

// rational reads a number exactly, unless its exponent is beyond reason.
func rational(s string) (*big.Rat, bool) {
	if f, err := strconv.ParseFloat(s, 64); err != nil || len(s) > 400 || f != 0 && (f > 1e100 || f < -1e100) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// likeExpr is a LIKE pattern as a regular expression: % stands for any characters, _ for one.
func likeExpr(s string) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, r := range s {
		switch r {
		case '%':
			b.WriteString(".*")
		case '_':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(`\z`)
	return b.String()
}

// subset reports whether one address range lies in another.
func subset(inner, outer string) bool {
	a, ok := addresses(inner)
	b, also := addresses(outer)
	return ok && also && a.Bits() >= b.Bits() && b.Contains(a.Addr())
}

func addresses(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}
