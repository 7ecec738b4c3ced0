package pattern

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep parentheses may be nested, MaxLength how many bytes a pattern may
// have.
const (
	MaxDepth  = 100
	MaxLength = 4 << 20
)

// Parse parses a pattern. The error is a *[SyntaxError].
func Parse(src string) (*Pattern, error) {
	p := parser{lexer: lexer{src: src}}
	root, err := p.pattern()
	if err != nil {
		return nil, err
	}
	return &Pattern{Root: root}, nil
}

type parser struct {
	lexer lexer
	tok   token
	err   error
	depth int
}

func (p *parser) fail(msg string) {
	if p.err == nil {
		p.err = syntaxError(p.lexer.src, p.tok.at, msg)
	}
}

// want fails because something else had to stand here.
func (p *parser) want(what string) {
	found := "the pattern's end"
	if p.tok.kind != end {
		found = strconv.Quote(shorten(p.tok.text))
	}
	p.fail(what + " must stand here, not " + found)
}

func shorten(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

func (p *parser) advance() {
	t, err := p.lexer.next()
	if err != nil {
		if p.err == nil {
			p.err = err
		}
		t = token{at: p.lexer.pos}
	}
	p.tok = t
}

// is reports whether the next token is this keyword or symbol.
func (p *parser) is(word string) bool {
	return p.tok.text == word && (p.tok.kind == keyword || p.tok.kind == symbol)
}

// take consumes the next token if it is this keyword or symbol.
func (p *parser) take(word string) bool {
	if p.err != nil || !p.is(word) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) must(word string) {
	if !p.take(word) {
		p.want(word)
	}
}

// enter counts nesting; leave is its counterpart.
func (p *parser) enter() bool {
	if p.depth++; p.depth > MaxDepth {
		p.fail("nested too deep")
		return false
	}
	return true
}

func (p *parser) leave() { p.depth-- }

func (p *parser) pattern() (Observation, error) {
	src := p.lexer.src
	switch {
	case len(src) > MaxLength:
		return nil, syntaxError(src, 0, "the pattern is too long")
	case !utf8.ValidString(src):
		return nil, syntaxError(src, 0, "the pattern is not valid UTF-8")
	}
	if strings.HasPrefix(strings.TrimLeftFunc(src, func(r rune) bool { return r == '(' || space(r) }), "/") {
		return nil, syntaxError(src, 0, "a pattern must not begin with a comment")
	}
	p.advance()
	root := p.sequence()
	if p.err == nil && p.tok.kind != end {
		p.want("AND, OR, FOLLOWEDBY, a qualifier or the end")
	}
	return root, p.err
}

func (p *parser) sequence() Observation     { return p.combine(FollowedBy, p.alternatives) }
func (p *parser) alternatives() Observation { return p.combine(Or, p.together) }
func (p *parser) together() Observation     { return p.combine(And, p.observation) }

func (p *parser) combine(op Op, part func() Observation) Observation {
	first := part()
	if p.err != nil || !p.is(op.String()) {
		return first
	}
	c := &Combination{Op: op, List: []Observation{first}}
	for p.take(op.String()) {
		c.List = append(c.List, part())
	}
	return c
}

func (p *parser) observation() Observation {
	var o Observation
	group := false
	switch {
	case p.take("["):
		o = &Test{Expr: p.either()}
		p.must("]")
	case p.is("("):
		if !p.enter() {
			return nil
		}
		p.advance()
		o, group = p.sequence(), true
		p.must(")")
		p.leave()
	default:
		p.want("[ or (")
		return nil
	}
	for n := 0; p.err == nil; n++ {
		q := &Qualified{Of: o, Group: group}
		switch {
		case p.take("WITHIN"):
			q.Kind = Within
			q.Number = p.positive(true)
			p.must("SECONDS")
		case p.take("REPEATS"):
			q.Kind = Repeats
			q.Number = p.positive(false)
			p.must("TIMES")
		case p.take("START"):
			q.Kind = StartStop
			q.From = p.time()
			p.must("STOP")
			q.To = p.time()
		default:
			return o
		}
		if n > MaxDepth {
			p.fail("too many qualifiers")
		}
		o, group = q, false
	}
	return o
}

func (p *parser) positive(fraction bool) string {
	t := p.tok
	if (t.kind == integer || t.kind == float && fraction) && t.text[0] != '-' {
		p.advance()
		return t.text
	}
	p.want("a positive number")
	return ""
}

func (p *parser) time() string {
	t := p.tok
	if t.kind != timestamp {
		p.want("a timestamp as t'2026-01-01T00:00:00Z'")
		return ""
	}
	p.advance()
	return t.text[2 : len(t.text)-1]
}

func (p *parser) either() Comparison { return p.logic(Or, p.both) }
func (p *parser) both() Comparison   { return p.logic(And, p.test) }

func (p *parser) logic(op Op, part func() Comparison) Comparison {
	first := part()
	if p.err != nil || !p.is(op.String()) {
		return first
	}
	l := &Logic{Op: op, List: []Comparison{first}}
	for p.take(op.String()) {
		l.List = append(l.List, part())
	}
	return l
}

func (p *parser) test() Comparison {
	if p.err != nil {
		return nil
	}
	if p.is("(") {
		if !p.enter() {
			return nil
		}
		p.advance()
		c := p.either()
		p.must(")")
		p.leave()
		return c
	}
	c := &Condition{}
	if p.is("NOT") || p.is("EXISTS") {
		c.Not = p.take("NOT")
		p.must("EXISTS")
		c.Op, c.Path = Exists, p.path()
		return c
	}
	c.Path = p.path()
	c.Not = p.take("NOT")
	t := p.tok
	op, ok := operators[t.text]
	if !ok || t.kind != keyword && t.kind != symbol {
		p.want("a comparison operator")
		return nil
	}
	p.advance()
	c.Op = op
	switch op {
	case In:
		c.Values = p.set()
	case Like, Matches, IsSubset, IsSuperset:
		if p.tok.kind != text {
			p.want("a string in single quotes")
			return nil
		}
		c.Values = []Literal{p.literal(true)}
	default:
		c.Values = []Literal{p.literal(op == Equal || op == NotEqual)}
	}
	return c
}

var operators = map[string]Op{
	"=": Equal, "==": Equal, "!=": NotEqual, "<>": NotEqual, "<": Less, "<=": LessEqual, ">": Greater, ">=": GreaterEqual,
	"IN": In, "LIKE": Like, "MATCHES": Matches, "ISSUBSET": IsSubset, "ISSUPERSET": IsSuperset,
}

func (p *parser) path() Path {
	if p.tok.kind != word && p.tok.kind != hyphens {
		p.want("an object type")
		return Path{}
	}
	path := Path{Type: p.tok.text}
	p.advance()
	p.must(":")
	path.Steps = append(path.Steps, p.name())
	for p.err == nil {
		switch {
		case p.take("."):
			path.Steps = append(path.Steps, p.name())
		case p.take("["):
			path.Steps = append(path.Steps, p.index())
			p.must("]")
		default:
			return path
		}
	}
	return path
}

func (p *parser) name() Step {
	t := p.tok
	switch t.kind {
	case word:
		p.advance()
		return Step{Name: t.text}
	case text:
		p.advance()
		return Step{Name: unquote(t.text)}
	case hyphens:
		p.want("a property name in single quotes, because it has a hyphen,")
	default:
		p.want("a property name")
	}
	return Step{}
}

func (p *parser) index() Step {
	t := p.tok
	if p.take("*") {
		return Step{Index: Any, List: true}
	}
	n, err := strconv.Atoi(t.text)
	if t.kind != integer || err != nil || n < 0 {
		p.want("an index from 0 or *")
		return Step{}
	}
	p.advance()
	return Step{Index: n, List: true}
}

func (p *parser) set() []Literal {
	p.must("(")
	list := []Literal{}
	if p.take(")") {
		return list
	}
	for p.err == nil {
		list = append(list, p.literal(true))
		if !p.take(",") {
			break
		}
	}
	p.must(")")
	return list
}

func (p *parser) literal(bools bool) Literal {
	t := p.tok
	l := Literal{Text: t.text}
	switch t.kind {
	case text:
		l.Kind, l.Text = String, unquote(t.text)
	case integer:
		l.Kind = Integer
	case float:
		l.Kind = Float
	case boolean:
		if !bools {
			p.want("a value that has an order")
			return l
		}
		l.Kind = Boolean
	case binary, hexes, timestamp:
		l.Kind = map[kind]LiteralKind{binary: Binary, hexes: Hex, timestamp: Time}[t.kind]
		l.Text = t.text[2 : len(t.text)-1]
	default:
		p.want("a value (strings in single quotes)")
		return l
	}
	p.advance()
	return l
}

func unquote(s string) string {
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
