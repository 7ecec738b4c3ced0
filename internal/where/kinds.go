package where

import (
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/stixbridge/stixbridge/stix"
)

// kind is what a part of an expression certainly is.
type kind string

const (
	unknown kind = ""
	num     kind = "a number"
	text    kind = "text"
	boolean kind = "true or false"
	many    kind = "a list"
	level   kind = "a TLP level"
	who     kind = "an author"
	nothing kind = "nothing"
)

// certain are the properties whose type STIX fixes for every object that has them.
var certain = map[string]kind{
	"confidence": num, "x_opencti_score": num, "revoked": boolean, "labels": many, "object_marking_refs": many, "external_references": many,
	"kill_chain_phases": many, "aliases": many, "name": text, "description": text, "pattern": text, "pattern_type": text,
	"created": text, "modified": text, "valid_from": text, "valid_until": text, "created_by_ref": text, "lang": text, "spec_version": text,
	"id": text, "type": text, "op": text, "producer": text, "tlp": level,
}

func kindOf(n ast.Node) kind {
	switch n := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return num
	case *ast.StringNode:
		return text
	case *ast.BoolNode:
		return boolean
	case *ast.NilNode:
		return nothing
	case *ast.ArrayNode:
		return many
	case *ast.IdentifierNode:
		return certain[n.Value]
	case *ast.CallNode:
		if c, ok := n.Callee.(*ast.IdentifierNode); ok {
			return map[string]kind{"score": num, "labels": many, "author": who, "tlp": level, "has": boolean}[c.Value]
		}
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return boolean
		}
		return num
	case *ast.BinaryNode:
		switch n.Operator {
		case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches", "and", "or", "&&", "||":
			return boolean
		}
	case *ast.BuiltinNode:
		switch n.Name {
		case "len", "count", "indexOf", "lastIndexOf", "findIndex", "findLastIndex":
			return num
		case "any", "all", "none", "one", "hasPrefix", "hasSuffix":
			return boolean
		case "lower", "upper", "trim", "string", "type":
			return text
		case "filter", "map", "split":
			return many
		}
	}
	return unknown
}

// sourceOf names a part in a message.
func sourceOf(n ast.Node) string {
	s := n.String()
	if r := []rune(s); len(r) > 40 {
		s = string(r[:39]) + "…"
	}
	return s
}

var gateOps = []string{"create", "update", "delete", "merge", "expire", "retract"}

// checkPair refuses comparisons that can never hold.
func (w *rewriter) checkPair(n *ast.BinaryNode) {
	for _, p := range [][2]ast.Node{{n.Left, n.Right}, {n.Right, n.Left}} {
		w.checkWord(p[0], p[1])
	}
	l, r := kindOf(n.Left), kindOf(n.Right)
	if l == unknown || r == unknown || l == r && l != many && l != boolean {
		return
	}
	ordered := n.Operator != "==" && n.Operator != "!="
	switch {
	case l == r && !ordered, l == level && r == text, l == text && r == level, !ordered && (l == who && r == text || l == text && r == who):
		return
	case l == many || r == many:
		list, item := n.Left, n.Right
		if l != many {
			list, item = item, list
		}
		w.fail(n, "%s is a list; write %s in %s, or len(%s)", sourceOf(list), sourceOf(item), sourceOf(list), sourceOf(list))
	case l == num && r == text, l == text && r == num:
		number, word := n.Left, n.Right
		if l == text {
			number, word = word, number
		}
		if s, ok := word.(*ast.StringNode); ok {
			if _, err := strconv.ParseFloat(s.Value, 64); err == nil {
				w.fail(n, "%s is a number and %s is text; write %s", sourceOf(number), sourceOf(word), s.Value)
				return
			}
		}
		w.fail(n, "%s is a number and %s is text; compare a number with a number", sourceOf(number), sourceOf(word))
	default:
		w.fail(n, "%s is %s and %s is %s; they cannot be compared", sourceOf(n.Left), l, sourceOf(n.Right), r)
	}
}

// checkWord refuses words that a variable can never be.
func (w *rewriter) checkWord(side, other ast.Node) {
	word, ok := other.(*ast.StringNode)
	if !ok {
		return
	}
	switch {
	case kindOf(side) == level:
		if _, err := stix.ParseTLP(word.Value); err != nil {
			w.fail(other, "%s is no TLP level; write clear, green, amber, amber+strict, red or unmarked", strconv.Quote(word.Value))
		}
	case isName(side, "op") && !slices.Contains(gateOps, word.Value):
		m := nearest(word.Value, gateOps)
		if m == "" {
			w.fail(other, "there is no operation %s; known are %s", strconv.Quote(word.Value), strings.Join(gateOps, ", "))
			return
		}
		w.fail(other, "there is no operation %s; did you mean %q?", strconv.Quote(word.Value), m)
	}
}

func isName(n ast.Node, name string) bool {
	i, ok := n.(*ast.IdentifierNode)
	return ok && i.Value == name
}

func (w *rewriter) checkIn(n *ast.BinaryNode) {
	switch kindOf(n.Right) {
	case text:
		w.fail(n, "%s is text, not a list; write %s contains %s", sourceOf(n.Right), sourceOf(n.Right), sourceOf(n.Left))
	case num, boolean, level, who:
		w.fail(n, "%s is %s, not a list; write == to compare", sourceOf(n.Right), kindOf(n.Right))
	}
	if a, ok := n.Right.(*ast.ArrayNode); ok {
		if len(a.Nodes) == 0 {
			w.fail(a, "the list is empty, so nothing is in it; name something")
		}
		for _, item := range a.Nodes {
			w.checkWord(n.Left, item)
		}
	}
}

func (w *rewriter) checkText(n *ast.BinaryNode) {
	switch k := kindOf(n.Left); k {
	case many:
		w.fail(n, "%s is a list; write %s in %s, or any(%s, # %s %s)", sourceOf(n.Left), sourceOf(n.Right), sourceOf(n.Left), sourceOf(n.Left), n.Operator, sourceOf(n.Right))
	case num, boolean, level:
		w.fail(n, "%s is %s, not text; write == to compare", sourceOf(n.Left), k)
	}
	if k := kindOf(n.Right); k != text && k != unknown {
		w.fail(n.Right, "%s is %s, not text; put it in quotes", sourceOf(n.Right), k)
	}
}

// nearest returns the known word that differs least, if it differs little.
func nearest(word string, known []string) string {
	best, cost := "", 0
	for _, k := range known {
		c := distance(strings.ToLower(word), strings.ToLower(k))
		if c <= max(1, min(len(word), len(k))/3) && (best == "" || c < cost) {
			best, cost = k, c
		}
	}
	return best
}

// distance counts insertions, deletions and substitutions.
func distance(a, b string) int {
	if len(a) > 32 || len(b) > 32 {
		return 1 << 16
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, change)
		}
	}
	return row[len(b)]
}
