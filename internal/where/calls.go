package where

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// helpers and the members that they read.
var helpers = map[string][]string{
	"score":  {"extensions", "x_opencti_score"},
	"labels": {"labels", "extensions", "x_opencti_labels"},
	"author": {"created_by_ref", "extensions", "x_opencti_created_by_ref"},
	"tlp":    nil,
	"has":    nil,
}

func (w *rewriter) checkCall(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		w.fail(n, "only functions can be called; write score(), not a.score()")
		return
	}
	if slices.Contains(forbidden, callee.Value) {
		if callee.Value == "now" {
			w.fail(n, "now() is not available: the answer would change without an event; use valid_until and expiry instead")
			return
		}
		w.fail(n, "%s() is not available in gates; write the text itself", callee.Value)
		return
	}
	if _, known := helpers[callee.Value]; !known {
		names := []string{"score", "labels", "author", "tlp", "has"}
		for name := range w.config.Builtins {
			names = append(names, name)
		}
		slices.Sort(names)
		if m := nearest(callee.Value, names); m != "" {
			w.fail(n, "unknown function %s(); did you mean %s()?", callee.Value, m)
			return
		}
		w.fail(n, "unknown function %s(); helpers are score(), labels(), author(), tlp() and has(x)", callee.Value)
		return
	}
	if want := map[bool]int{true: 1}[callee.Value == "has"]; len(n.Arguments) != want {
		w.fail(n, "%s() takes %s", callee.Value, map[int]string{0: "nothing between its brackets; remove it", 1: "one property; write has(name)"}[want])
	}
}

func (w *rewriter) helper(n *ast.CallNode, in *scope) ast.Node {
	name := n.Callee.(*ast.IdentifierNode).Value
	for _, member := range helpers[name] {
		w.index(member)
	}
	if name != "has" {
		return w.call(n, name)
	}
	arg := n.Arguments[0]
	if text, ok := arg.(*ast.StringNode); ok {
		return w.call(n, "has", w.member(arg, text.Value))
	}
	return w.call(n, "has", w.node(arg, in))
}

// functions that take a condition, and those that take a value, for each item of a list.
var conditions = []string{"all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count"}
var perItem = []string{"map", "sum", "groupBy", "sortBy", "reduce"}

func (w *rewriter) builtin(n *ast.BuiltinNode, in *scope) ast.Node {
	asked := slices.Contains(conditions, n.Name)
	if !asked && !slices.Contains(perItem, n.Name) {
		if n.Name == "get" && len(n.Arguments) == 2 {
			return w.call(n, "get", w.node(n.Arguments[0], in), w.node(n.Arguments[1], in))
		}
		return w.call(n, "call "+n.Name, w.nodes(n.Arguments, in)...)
	}
	out := &ast.BuiltinNode{Name: n.Name, Throws: n.Throws, Map: n.Map, Threshold: n.Threshold}
	for i, arg := range n.Arguments {
		switch p, isPredicate := arg.(*ast.PredicateNode); {
		case i == 0:
			out.Arguments = append(out.Arguments, w.call(arg, "list", w.node(arg, in)))
		case isPredicate && asked:
			body := &ast.PredicateNode{Node: w.condition(p.Node, in)}
			body.SetLocation(arg.Location())
			out.Arguments = append(out.Arguments, body)
		default:
			out.Arguments = append(out.Arguments, w.node(arg, in))
		}
	}
	out.SetLocation(n.Location())
	return out
}
