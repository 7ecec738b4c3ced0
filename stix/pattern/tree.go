package pattern

// Pattern is a parsed pattern.
type Pattern struct{ Root Observation }

// Observation is one of *[Test], *[Combination] and *[Qualified].
type Observation interface{ observation() }

// Test is one observation, the expression in square brackets.
type Test struct{ Expr Comparison }

// Combination joins observations.
type Combination struct {
	Op   Op // And, Or or FollowedBy
	List []Observation
}

// Qualified is an observation with one of the qualifiers.
type Qualified struct {
	Of    Observation
	Group bool // Of stood in parentheses

	Kind     Qualifier
	Number   string // of times or seconds, as written
	From, To string // START and STOP, the timestamps as written without t''
}

// Qualifier is the kind of a qualifier.
type Qualifier uint8

// The qualifiers.
const (
	Within Qualifier = iota
	Repeats
	StartStop
)

// Comparison is one of *[Condition] and *[Logic].
type Comparison interface{ comparison() }

// Logic joins comparisons.
type Logic struct {
	Op   Op // And or Or
	List []Comparison
}

// Condition compares what is at a path with a value, or with several.
type Condition struct {
	Path   Path
	Not    bool
	Op     Op
	Values []Literal // one; any number for In, none for Exists
}

// Op is an operator.
type Op uint8

// The operators.
const (
	And Op = iota
	Or
	FollowedBy
	Equal
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	In
	Like
	Matches
	IsSubset
	IsSuperset
	Exists
)

var opNames = [...]string{"AND", "OR", "FOLLOWEDBY", "=", "!=", "<", "<=", ">", ">=", "IN", "LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET", "EXISTS"}

// String is the operator as it is written in patterns.
func (o Op) String() string {
	if int(o) >= len(opNames) {
		return "?"
	}
	return opNames[o]
}

// Path leads to a property of an object: its type, then steps.
type Path struct {
	Type  string
	Steps []Step
}

// Step is a property name or an index into a list.
type Step struct {
	Name  string
	Index int  // from 0; Any for [*]
	List  bool // it is an index
}

// Any is the index that stands for every element.
const Any = -1

// Literal is a constant.
type Literal struct {
	Kind LiteralKind
	Text string // a string's characters; what stands between the quotes of b'', h'' and t''; else as written
}

// LiteralKind is the type of a constant.
type LiteralKind uint8

// The types of constants.
const (
	String LiteralKind = iota
	Integer
	Float
	Boolean
	Binary
	Hex
	Time
)

func (*Test) observation()        {}
func (*Combination) observation() {}
func (*Qualified) observation()   {}
func (*Condition) comparison()    {}
func (*Logic) comparison()        {}

// Conditions calls f for every comparison, in their order.
func (p *Pattern) Conditions(f func(*Condition)) {
	var compare func(Comparison)
	compare = func(c Comparison) {
		switch c := c.(type) {
		case *Condition:
			f(c)
		case *Logic:
			for _, part := range c.List {
				compare(part)
			}
		}
	}
	p.observations(func(o Observation) {
		if t, ok := o.(*Test); ok {
			compare(t.Expr)
		}
	})
}

// observations calls f for every observation expression, outer ones first.
func (p *Pattern) observations(f func(Observation)) {
	var walk func(Observation)
	walk = func(o Observation) {
		f(o)
		switch o := o.(type) {
		case *Combination:
			for _, part := range o.List {
				walk(part)
			}
		case *Qualified:
			walk(o.Of)
		}
	}
	if p != nil && p.Root != nil {
		walk(p.Root)
	}
}
