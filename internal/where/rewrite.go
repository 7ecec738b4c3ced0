package where

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
)

// rewriter turns the tree of what was written into one whose every operator, member and call is a function that knows
// what is missing.
type rewriter struct {
	config  *conf.Config
	members []string
	err     *Error
}

func (w *rewriter) fail(n ast.Node, format string, args ...any) {
	if w.err == nil {
		w.err = &Error{n.Location().From + 1, fmt.Sprintf(format, args...)}
	}
}

func (w *rewriter) allNeeds() []string {
	needs := slices.Clone(w.members)
	slices.Sort(needs)
	return needs
}

// scope is a let: the names it brings.
type scope struct {
	name  string
	outer *scope
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if s.name == name {
			return true
		}
	}
	return false
}

// inspect looks for what must not be written at all, before anything is changed.
func (w *rewriter) inspect(root ast.Node) error {
	ast.Walk(&root, visit(func(n *ast.Node) {
		switch n := (*n).(type) {
		case *ast.IdentifierNode:
			if n.Value == "$env" {
				w.fail(n, `$env is not available; write the name of a property, or object["name"]`)
			}
		case *ast.CallNode:
			w.checkCall(n)
		case *ast.VariableDeclaratorNode:
			if _, taken := certain[n.Name]; taken || n.Name == "object" {
				w.fail(n, "%s is a property; choose another name for the variable", n.Name)
			}
		case *ast.BinaryNode:
			if n.Operator == "|" {
				w.fail(n, "a pipe must lead into a function; write labels() | filter(…)")
			}
		}
	}))
	if w.err != nil {
		return w.err
	}
	return nil
}

type visit func(*ast.Node)

func (v visit) Visit(n *ast.Node) { v(n) }

func (w *rewriter) call(at ast.Node, name string, args ...ast.Node) ast.Node {
	callee := &ast.IdentifierNode{Value: "\x00" + name}
	state := &ast.IdentifierNode{Value: stateName}
	n := &ast.CallNode{Callee: callee, Arguments: append([]ast.Node{state}, args...)}
	for _, x := range []ast.Node{callee, state, n} {
		x.SetLocation(at.Location())
	}
	return n
}

// condition rewrites what must be true or false.
func (w *rewriter) condition(n ast.Node, in *scope) ast.Node {
	if k := kindOf(n); k != unknown && k != boolean {
		w.fail(n, "%s is %s, not true or false; compare it with something", sourceOf(n), k)
	}
	out := w.node(n, in)
	switch x := n.(type) {
	case *ast.BoolNode:
		return out
	case *ast.UnaryNode:
		if x.Operator == "not" || x.Operator == "!" {
			return out
		}
	}
	return w.call(n, "bool", out)
}

func (w *rewriter) node(n ast.Node, in *scope) ast.Node {
	keep := func(x ast.Node) ast.Node { x.SetLocation(n.Location()); return x }
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return w.identifier(n, in)
	case *ast.UnaryNode:
		return w.unary(n, in)
	case *ast.BinaryNode:
		return w.binary(n, in)
	case *ast.ChainNode:
		return w.node(n.Node, in)
	case *ast.MemberNode:
		if o, ok := n.Node.(*ast.IdentifierNode); ok && o.Value == "object" && !in.has("object") {
			if name, ok := n.Property.(*ast.StringNode); ok {
				return w.member(n, name.Value)
			}
			w.fail(n, `object[…] wants the name of a property in quotes; write object["x_foo"]`)
		}
		return w.call(n, "get", w.node(n.Node, in), w.node(n.Property, in))
	case *ast.SliceNode:
		bound := func(b ast.Node) ast.Node {
			if b == nil {
				return keep(&ast.NilNode{})
			}
			return w.node(b, in)
		}
		return w.call(n, "slice", w.node(n.Node, in), bound(n.From), bound(n.To))
	case *ast.CallNode:
		return w.helper(n, in)
	case *ast.BuiltinNode:
		return w.builtin(n, in)
	case *ast.PredicateNode:
		return keep(&ast.PredicateNode{Node: w.call(n, "value", w.node(n.Node, in))})
	case *ast.ConditionalNode:
		return keep(&ast.ConditionalNode{Ternary: n.Ternary, Cond: w.condition(n.Cond, in), Exp1: w.node(n.Exp1, in), Exp2: w.node(n.Exp2, in)})
	case *ast.VariableDeclaratorNode:
		return keep(&ast.VariableDeclaratorNode{Name: n.Name, Value: w.node(n.Value, in), Expr: w.node(n.Expr, &scope{n.Name, in})})
	case *ast.SequenceNode:
		return keep(&ast.SequenceNode{Nodes: w.nodes(n.Nodes, in)})
	case *ast.ArrayNode:
		return keep(&ast.ArrayNode{Nodes: w.nodes(n.Nodes, in)})
	case *ast.MapNode:
		return keep(&ast.MapNode{Pairs: w.nodes(n.Pairs, in)})
	case *ast.PairNode:
		return keep(&ast.PairNode{Key: w.node(n.Key, in), Value: w.node(n.Value, in)})
	}
	return n // literals and #
}

func (w *rewriter) nodes(in []ast.Node, s *scope) []ast.Node {
	out := make([]ast.Node, len(in))
	for i, n := range in {
		out[i] = w.node(n, s)
	}
	return out
}

func (w *rewriter) identifier(n *ast.IdentifierNode, in *scope) ast.Node {
	switch {
	case in.has(n.Value):
		return n
	case n.Value == "op", n.Value == "producer", n.Value == "tlp", n.Value == "id", n.Value == "type":
		return w.call(n, n.Value)
	case n.Value == "object":
		w.fail(n, `object stands for no value; write the name of a property, or object["name"]`)
	}
	return w.member(n, n.Value)
}

func (w *rewriter) member(at ast.Node, name string) ast.Node {
	if name == "id" || name == "type" {
		return w.call(at, name)
	}
	index := &ast.IntegerNode{Value: w.index(name)}
	index.SetLocation(at.Location())
	return w.call(at, "member", index)
}

// index numbers the members that are read.
func (w *rewriter) index(name string) int {
	i := slices.Index(w.members, name)
	if i < 0 {
		i = len(w.members)
		w.members = append(w.members, name)
	}
	return i
}

func (w *rewriter) unary(n *ast.UnaryNode, in *scope) ast.Node {
	if n.Operator == "not" || n.Operator == "!" {
		// "a not in b" is a comparison of its own; "not (a in b)" is the opposite of one.
		if b, ok := n.Node.(*ast.BinaryNode); ok && b.Operator == "in" && n.Operator == "not" && n.Location().From > b.Left.Location().From {
			w.checkIn(b)
			return w.call(n, "not in", w.node(b.Left, in), w.list(b.Right, in))
		}
		out := &ast.UnaryNode{Operator: "not", Node: w.condition(n.Node, in)}
		out.SetLocation(n.Location())
		return out
	}
	if n.Operator == "-" {
		switch x := n.Node.(type) {
		case *ast.IntegerNode:
			out := &ast.IntegerNode{Value: -x.Value}
			out.SetLocation(n.Location())
			return out
		}
		return w.call(n, "negate", w.node(n.Node, in))
	}
	return w.node(n.Node, in)
}

func (w *rewriter) binary(n *ast.BinaryNode, in *scope) ast.Node {
	op := n.Operator
	switch op {
	case "and", "&&", "or", "||":
		out := &ast.BinaryNode{Operator: op, Left: w.condition(n.Left, in), Right: w.condition(n.Right, in)}
		out.SetLocation(n.Location())
		return out
	case "??":
		out := &ast.BinaryNode{Operator: op, Left: w.node(n.Left, in), Right: w.node(n.Right, in)}
		out.SetLocation(n.Location())
		return out
	case "==", "!=":
		if side := otherThanNil(n); side != nil {
			has := w.call(n, "has", w.node(side, in))
			if op == "!=" {
				return has
			}
			out := &ast.UnaryNode{Operator: "not", Node: w.call(n, "bool", has)}
			out.SetLocation(n.Location())
			return out
		}
		w.checkPair(n)
	case "<", "<=", ">", ">=":
		w.checkPair(n)
	case "in":
		w.checkIn(n)
		return w.call(n, op, w.node(n.Left, in), w.list(n.Right, in))
	case "contains", "startsWith", "endsWith":
		w.checkText(n)
	case "matches":
		w.checkText(n)
		return w.matches(n, in)
	case "+", "-", "*", "/", "%", "**", "^", "..":
	default:
		w.fail(n, "the operator %s is not available; write ==, <, in, contains, matches, and, or", op)
	}
	return w.call(n, op, w.node(n.Left, in), w.node(n.Right, in))
}

func otherThanNil(n *ast.BinaryNode) ast.Node {
	if _, ok := n.Right.(*ast.NilNode); ok {
		return n.Left
	}
	if _, ok := n.Left.(*ast.NilNode); ok {
		return n.Right
	}
	return nil
}

// list makes a set of a list of texts, so that a long one costs no more than a short one.
func (w *rewriter) list(n ast.Node, in *scope) ast.Node {
	a, ok := n.(*ast.ArrayNode)
	if !ok || len(a.Nodes) == 0 {
		return w.node(n, in)
	}
	set := map[string]struct{}{}
	for _, item := range a.Nodes {
		text, ok := item.(*ast.StringNode)
		if !ok {
			return w.node(n, in)
		}
		set[text.Value] = struct{}{}
	}
	out := &ast.ConstantNode{Value: set}
	out.SetLocation(n.Location())
	return out
}

func (w *rewriter) matches(n *ast.BinaryNode, in *scope) ast.Node {
	pattern, ok := n.Right.(*ast.StringNode)
	if !ok {
		w.fail(n.Right, `matches wants a pattern in quotes; write name matches "^x"`)
		return n
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		w.fail(n.Right, "%s; mend the pattern (RE2 syntax)", strings.TrimPrefix(err.Error(), "error parsing "))
		return n
	}
	c := &ast.ConstantNode{Value: re}
	c.SetLocation(n.Right.Location())
	return w.call(n, "matches", w.node(n.Left, in), c)
}
