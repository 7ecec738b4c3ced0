package pattern

import (
	"fmt"
	"strings"
)

// Format is the pattern in its usual form: single spaces, = and != as operators, quotes and
// parentheses only where they are needed. It means the same.
func Format(src string) (string, error) {
	p, err := Parse(src)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}

// String is the pattern in its usual form.
func (p *Pattern) String() string {
	var b strings.Builder
	writeObservation(&b, p.Root)
	return b.String()
}

func writeObservation(b *strings.Builder, o Observation) {
	switch o := o.(type) {
	case *Test:
		b.WriteByte('[')
		writeComparison(b, o.Expr)
		b.WriteByte(']')
	case *Combination:
		for i, part := range o.List {
			if i > 0 {
				b.WriteString(" " + o.Op.String() + " ")
			}
			// And binds before Or, Or before FollowedBy.
			inner, ok := part.(*Combination)
			writeGroup(b, ok && inner.Op >= o.Op, func() { writeObservation(b, part) })
		}
	case *Qualified:
		_, combined := o.Of.(*Combination)
		_, qualified := o.Of.(*Qualified)
		writeGroup(b, combined || qualified && o.Group, func() { writeObservation(b, o.Of) })
		switch o.Kind {
		case Within:
			fmt.Fprintf(b, " WITHIN %s SECONDS", o.Number)
		case Repeats:
			fmt.Fprintf(b, " REPEATS %s TIMES", o.Number)
		case StartStop:
			fmt.Fprintf(b, " START t'%s' STOP t'%s'", o.From, o.To)
		}
	}
}

func writeGroup(b *strings.Builder, group bool, write func()) {
	if group {
		b.WriteByte('(')
	}
	write()
	if group {
		b.WriteByte(')')
	}
}

func writeComparison(b *strings.Builder, c Comparison) {
	switch c := c.(type) {
	case *Logic:
		for i, part := range c.List {
			if i > 0 {
				b.WriteString(" " + c.Op.String() + " ")
			}
			inner, ok := part.(*Logic)
			writeGroup(b, ok && inner.Op >= c.Op, func() { writeComparison(b, part) })
		}
	case *Condition:
		b.WriteString(c.String())
	}
}

// String is the comparison as it is written in patterns.
func (c *Condition) String() string {
	var b strings.Builder
	not := ""
	if c.Not {
		not = "NOT "
	}
	if c.Op == Exists {
		return not + "EXISTS " + c.Path.String()
	}
	b.WriteString(c.Path.String() + " " + not + c.Op.String() + " ")
	if c.Op != In {
		b.WriteString(c.Values[0].String())
		return b.String()
	}
	b.WriteByte('(')
	for i, v := range c.Values {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(v.String())
	}
	b.WriteByte(')')
	return b.String()
}

// String is the path as it is written in patterns.
func (p Path) String() string {
	var b strings.Builder
	b.WriteString(p.Type)
	b.WriteByte(':')
	for i, s := range p.Steps {
		switch {
		case s.List && s.Index == Any:
			b.WriteString("[*]")
		case s.List:
			fmt.Fprintf(&b, "[%d]", s.Index)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			if plainName(s.Name) {
				b.WriteString(s.Name)
			} else {
				b.WriteString(Quote(s.Name))
			}
		}
	}
	return b.String()
}

func plainName(s string) bool {
	if s == "" || !letter(s[0]) || keywords[s] || s == "true" || s == "false" {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && !digit(s[i]) {
			return false
		}
	}
	return true
}

// Quote is s as a string constant in a pattern.
func Quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// String is the constant as it is written in patterns.
func (l Literal) String() string {
	switch l.Kind {
	case String:
		return Quote(l.Text)
	case Binary:
		return "b'" + l.Text + "'"
	case Hex:
		return "h'" + l.Text + "'"
	case Time:
		return "t'" + l.Text + "'"
	}
	return l.Text
}
