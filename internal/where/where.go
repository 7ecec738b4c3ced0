// Package where compiles and evaluates the expressions of the where gate: conditions over one STIX object and what is
// known about its event, in the language of expr-lang/expr.
//
// Top-level properties of the object are variables (name, confidence, pattern_type; object["x-odd name"] for the rest), and
// so are op, producer and tlp. score(), labels(), author(), tlp() and has() help. A property that is missing, or of a type that
// cannot be compared, makes its comparison false; so both confidence >= 50 and confidence < 50 are false without a confidence.
package where

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/stixbridge/stixbridge/stix"
)

const (
	maxSource = 8 << 10   // bytes of an expression
	maxNodes  = 2_000     // of its syntax tree
	maxSteps  = 1_000_000 // operations of one evaluation
	maxValues = 1_000_000 // values that one evaluation may make
)

// ErrBudget says that an evaluation took more steps or memory than a gate may take.
var ErrBudget = errors.New("where: the expression takes too long on this object")

// Vars is what is known about an object beside its content.
type Vars struct {
	Op       string
	Producer string
	TLP      stix.TLP // level of the event
	// Resolve returns the object behind a reference, for author(); nil knows none.
	Resolve func(ref string) (stix.Object, bool)
}

// Program is a compiled expression. It is safe for concurrent use.
type Program struct {
	source  string
	program *vm.Program
	members []string // top-level members that it reads, by their number in the program
	needs   []string
	pool    sync.Pool
}

// Error is what is wrong with an expression.
type Error struct {
	Col     int // in characters of the expression, from 1
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.Col, e.Message) }

// Column returns the character, from 1, that the error is about.
func (e *Error) Column() int { return e.Col }

// Check compiles and forgets.
func Check(source string) error {
	_, err := Compile(source)
	return err
}

// Compile reads an expression. Its error is an *Error that says where and what to do.
func Compile(source string) (p *Program, err error) {
	if len(source) > maxSource {
		return nil, &Error{1, fmt.Sprintf("the expression has %d bytes; write at most %d", len(source), maxSource)}
	}
	if strings.TrimSpace(source) == "" {
		return nil, &Error{1, "the expression is empty; write a condition such as score() >= 70"}
	}
	defer func() {
		if r := recover(); r != nil { // the library's compiler must not take the bridge down
			p, err = nil, &Error{1, fmt.Sprintf("cannot be compiled (%v); write it in another way", r)}
		}
	}()
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	for _, name := range forbidden {
		c.Disabled[name] = true
		delete(c.Builtins, name)
	}
	tree, err := parser.ParseWithConfig(source, c)
	if err != nil {
		return nil, located(err)
	}
	// as it was written, for the errors that the language itself knows
	w := &rewriter{config: c}
	node := tree.Node
	if err := w.inspect(node); err != nil {
		return nil, err
	}
	c.WithEnv(written(c))
	c.Strict = false
	if _, err := checker.Check(tree, c); err != nil {
		return nil, located(err)
	}
	tree.Node = w.condition(node, nil)
	if w.err != nil {
		return nil, w.err
	}
	c.WithEnv(map[string]any{stateName: (*state)(nil)})
	c.Strict = false
	for name, f := range functions {
		c.Functions[name] = f
	}
	if _, err := checker.Check(tree, c); err != nil {
		return nil, located(err)
	}
	if err := optimizer.Optimize(&tree.Node, c); err != nil {
		return nil, located(err)
	}
	program, err := compiler.Compile(tree, c)
	if err != nil {
		return nil, located(err)
	}
	p = &Program{source: source, program: program, members: w.members, needs: w.allNeeds()}
	p.pool.New = func() any { return newRun(p) }
	return p, nil
}

// written is what the checker knows of the names that are also functions of the language: as variables they are properties.
func written(c *conf.Config) types.Map {
	m := types.Map{"id": types.String, "op": types.String, "producer": types.String}
	for name := range c.Builtins {
		m[name] = types.Any
	}
	m["type"] = types.String
	return m
}

// forbidden functions: their answer changes without an event, so that what passed once could not be taken back, or they make
// much out of little.
var forbidden = []string{"now", "repeat"}

// String returns the source.
func (p *Program) String() string { return p.source }

// Needs returns the top-level members that the expression may read, sorted; id and type are always at hand and not named.
func (p *Program) Needs() []string { return slices.Clone(p.needs) }

// Eval decides about one object. missing says that a comparison was false because a property was missing or could not be
// compared; it counts only where the object does not pass. The error is ErrBudget, or an operation on values of the wrong
// type that no comparison covers: the object does not pass.
func (p *Program) Eval(o stix.Object, vars Vars) (pass, missing bool, err error) {
	r := p.pool.Get().(*run)
	r.state.begin(o, vars)
	out, err := r.machine.Run(p.program, r.env)
	missing = r.state.missing
	over := r.state.steps > maxSteps
	r.state.end()
	p.pool.Put(r)
	switch {
	case over || err != nil && strings.Contains(err.Error(), "memory budget"):
		return false, missing, ErrBudget
	case err != nil:
		var f *file.Error
		if errors.As(err, &f) {
			return false, true, fmt.Errorf("where: %s (character %d)", f.Message, f.From+1)
		}
		return false, true, fmt.Errorf("where: %w", err)
	}
	pass, _ = out.(bool)
	return pass, missing, nil
}

// run is what one evaluation uses and leaves to the next.
type run struct {
	machine vm.VM
	state   *state
	env     map[string]any
}

func newRun(p *Program) *run {
	s := &state{names: p.members, raw: make([]raw, len(p.members)), values: make([]any, len(p.members)), have: make([]bool, len(p.members))}
	return &run{machine: vm.VM{MemoryBudget: maxValues}, state: s, env: map[string]any{stateName: s}}
}

// located turns the library's error into ours.
func located(err error) error {
	var f *file.Error
	if !errors.As(err, &f) {
		return &Error{1, err.Error() + "; see the manual for what can be written"}
	}
	message := strings.TrimSpace(f.Message)
	return &Error{f.From + 1, message + "; " + remedy(message)}
}

func remedy(message string) string {
	for _, r := range []struct{ part, remedy string }{
		{`Operator("=")`, "write == to compare"},
		{`Identifier("AND")`, "write and, or, not in lower case"},
		{`Identifier("OR")`, "write and, or, not in lower case"},
		{`Identifier("like")`, `write name contains "x", or name matches "^x"`},
		{"token EOF", "something is missing at the end"},
		{"unclosed", "close the quote or bracket"},
		{"literal not terminated", "close the quote"},
		{"exceeds maximum allowed nodes", "write a shorter one"},
		{"error parsing regexp", "mend the pattern (RE2 syntax)"},
		{"unknown name", "see the manual for the names"},
	} {
		if strings.Contains(message, r.part) {
			return r.remedy
		}
	}
	return "check quotes, brackets and operators"
}
