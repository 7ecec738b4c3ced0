package pattern

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Reason is why a pattern is not exactly "any of these observables".
type Reason string

// The reasons, in the order of their weight: where several apply, the first is given.
const (
	ReasonSyntax          Reason = "syntax"
	ReasonSequence        Reason = "sequence"         // FOLLOWEDBY
	ReasonQualifier       Reason = "qualifier"        // WITHIN, REPEATS, START
	ReasonNegation        Reason = "negation"         // NOT, !=
	ReasonReferencePath   Reason = "reference-path"   // the path leads to another object
	ReasonOperator        Reason = "operator"         // none of =, IN, and ISSUBSET of an address
	ReasonEmptySet        Reason = "empty-set"        // IN ()
	ReasonUnknownType     Reason = "unknown-type"     // no observable
	ReasonConjunction     Reason = "conjunction"      // AND of what is not one observable
	ReasonUnsupportedPath Reason = "unsupported-path" // the property does not identify the observable
)

var weights = []Reason{
	ReasonSyntax, ReasonSequence, ReasonQualifier, ReasonNegation, ReasonReferencePath, ReasonOperator,
	ReasonEmptySet, ReasonUnknownType, ReasonConjunction, ReasonUnsupportedPath,
}

// Refusal is a pattern that [Extract] does not translate.
type Refusal struct {
	Reason Reason
	Err    error // what is wrong with the syntax
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return string(r.Reason) + ": " + r.Err.Error()
	}
	return string(r.Reason)
}

func (r *Refusal) Unwrap() error { return r.Err }

// Observable is what a pattern looks for.
type Observable struct {
	Type       string
	CIDR       bool // the value is an address range, not an address
	Properties []Property
}

// Property is one that identifies the observable.
type Property struct {
	Path  string // as "value" or "hashes.SHA-256"
	Value any    // string, int64, float64, bool, or json.Number for integers beyond int64
}

// Hash is the observable's hash algorithm, as the pattern writes it, and the hash, if it is
// identified by one.
func (o Observable) Hash() (algorithm, hash string, ok bool) {
	for _, p := range o.Properties {
		if name, found := strings.CutPrefix(p.Path, "hashes."); found {
			s, ok := p.Value.(string)
			return name, s, ok
		}
	}
	return "", "", false
}

// Value is the value of a property, nil if there is none.
func (o Observable) Value(path string) any {
	for _, p := range o.Properties {
		if p.Path == path {
			return p.Value
		}
	}
	return nil
}

// MarshalJSON writes {"type","match","properties"}.
func (o Observable) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	write := func(v any) error {
		err := enc.Encode(v)
		b.Truncate(b.Len() - 1) // the line feed
		return err
	}
	b.WriteString(`{"type":`)
	if err := write(o.Type); err != nil {
		return nil, err
	}
	match := `,"match":"eq","properties":{`
	if o.CIDR {
		match = `,"match":"cidr","properties":{`
	}
	b.WriteString(match)
	for i, p := range o.Properties {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := write(p.Path); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := write(p.Value); err != nil {
			return nil, err
		}
	}
	b.WriteString("}}")
	return b.Bytes(), nil
}

// Extract translates a pattern into observables, each once, in their order. The error is a
// *[Refusal] unless the pattern means exactly "any of these observables".
func Extract(src string) ([]Observable, error) {
	p, err := Parse(src)
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		return nil, &Refusal{Reason: ReasonSyntax, Err: err}
	}
	return p.Extract()
}

// Extract is [Extract] of a pattern that is parsed already.
func (p *Pattern) Extract() ([]Observable, error) {
	var x extraction
	p.observations(x.observation)
	p.Conditions(x.condition)
	p.observations(func(o Observation) {
		if t, ok := o.(*Test); ok {
			x.comparison(t.Expr)
		}
	})
	for _, reason := range weights {
		if slices.Contains(x.reasons, reason) {
			return nil, &Refusal{Reason: reason}
		}
	}
	return x.list, nil
}

type extraction struct {
	reasons []Reason
	list    []Observable
	seen    map[string]bool
}

func (x *extraction) refuse(r Reason) { x.reasons = append(x.reasons, r) }

func (x *extraction) observation(o Observation) {
	switch o := o.(type) {
	case *Qualified:
		x.refuse(ReasonQualifier)
	case *Combination:
		switch o.Op {
		case FollowedBy:
			x.refuse(ReasonSequence)
		case And:
			x.refuse(ReasonConjunction)
		}
	}
}

// condition judges a comparison by itself.
func (x *extraction) condition(c *Condition) {
	if c.Not || c.Op == NotEqual {
		x.refuse(ReasonNegation)
	}
	for _, s := range c.Path.Steps {
		if strings.HasSuffix(s.Name, "_ref") || strings.HasSuffix(s.Name, "_refs") {
			x.refuse(ReasonReferencePath)
		}
	}
	switch c.Op {
	case Equal, NotEqual:
	case In:
		if len(c.Values) == 0 {
			x.refuse(ReasonEmptySet)
		}
	case IsSubset:
		if p := c.Path.String(); p != "ipv4-addr:value" && p != "ipv6-addr:value" {
			x.refuse(ReasonOperator)
		}
	default:
		x.refuse(ReasonOperator)
	}
	if !observable(c.Path.Type) {
		x.refuse(ReasonUnknownType)
	}
}

// comparison collects observables from what is joined by OR.
func (x *extraction) comparison(c Comparison) {
	switch c := c.(type) {
	case *Logic:
		if c.Op == And {
			x.conjunction(c)
			return
		}
		for _, part := range c.List {
			x.comparison(part)
		}
	case *Condition:
		path, ok := c.identifies()
		if !ok {
			x.refuse(ReasonUnsupportedPath)
			return
		}
		for _, v := range c.Values {
			x.add(Observable{Type: c.Path.Type, CIDR: c.Op == IsSubset, Properties: []Property{{path, v.value()}}})
		}
	}
}

// conjunction makes one observable out of several identifying properties. Tests that all
// fail to identify, of one type, are no conjunction of anything: their paths are unsupported.
func (x *extraction) conjunction(l *Logic) {
	arms, plain := conjuncts(l, nil)
	if !plain {
		x.refuse(ReasonConjunction)
		return
	}
	o := Observable{Type: arms[0].Path.Type}
	others := 0
	for _, c := range arms {
		path, ok := c.identifies()
		switch {
		case c.Op != Equal || c.Path.Type != o.Type || ok && o.Value(path) != nil:
			x.refuse(ReasonConjunction)
			return
		case !ok:
			others++
			continue
		}
		o.Properties = append(o.Properties, Property{path, c.Values[0].value()})
	}
	switch {
	case others == 0:
		x.add(o)
	case len(o.Properties) > 0:
		x.refuse(ReasonConjunction)
	default:
		x.refuse(ReasonUnsupportedPath)
	}
}

// conjuncts flattens nested ANDs; false if there is an OR among them.
func conjuncts(c Comparison, list []*Condition) ([]*Condition, bool) {
	switch c := c.(type) {
	case *Condition:
		return append(list, c), true
	case *Logic:
		if c.Op != And {
			return list, false
		}
		for _, part := range c.List {
			var ok bool
			if list, ok = conjuncts(part, list); !ok {
				return list, false
			}
		}
	}
	return list, true
}

func (x *extraction) add(o Observable) {
	if len(x.list) > 0 { // most patterns have one
		if x.seen == nil {
			x.seen = map[string]bool{key(x.list[0]): true}
		}
		k := key(o)
		if x.seen[k] {
			return
		}
		x.seen[k] = true
	}
	x.list = append(x.list, o)
}

// key tells observables apart.
func key(o Observable) string {
	raw, err := o.MarshalJSON()
	if err != nil {
		return ""
	}
	return string(raw)
}

func (l Literal) value() any {
	switch l.Kind {
	case Integer:
		if n, err := strconv.ParseInt(l.Text, 10, 64); err == nil {
			return n
		}
		return json.Number(strings.TrimPrefix(l.Text, "+"))
	case Float:
		if f, err := strconv.ParseFloat(l.Text, 64); err == nil {
			return f
		}
	case Boolean:
		return l.Text == "true"
	}
	return l.Text
}
