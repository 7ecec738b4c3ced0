package config

import (
	"encoding/json"
	"strconv"
	"strings"
)

// kind of a node.
type shape uint8

const (
	scalar shape = iota
	mapping
	list
)

// node is a value of the configuration that knows where it was written.
type node struct {
	at     position
	shape  shape
	value  any  // of a scalar: string, bool, json.Number or nil
	loose  bool // text out of a variable: the schema says what it is, and it is never shown
	failed bool // could not be read, and that is reported
	exact  bool // a scalar that stands in the file as it is, on one line, from at on
	fields []field
	items  []*node
}

// field is an entry of a mapping.
type field struct {
	name  string
	key   position
	value *node
}

func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

func (n *node) set(name string, key position, v *node) {
	for i, f := range n.fields {
		if f.name == name {
			n.fields[i] = field{name, key, v}
			return
		}
	}
	n.fields = append(n.fields, field{name, key, v})
}

func (n *node) drop(name string) {
	kept := n.fields[:0:0]
	for _, f := range n.fields {
		if f.name != name {
			kept = append(kept, f)
		}
	}
	n.fields = kept
}

// text of a string scalar; empty for anything else.
func (n *node) text() string {
	if n == nil || n.shape != scalar {
		return ""
	}
	s, _ := n.value.(string)
	return s
}

// wrong reports whether the node or anything in it could not be read.
func (n *node) wrong() bool {
	if n.failed {
		return true
	}
	for _, f := range n.fields {
		if f.value.wrong() {
			return true
		}
	}
	for _, item := range n.items {
		if item.wrong() {
			return true
		}
	}
	return false
}

func (n *node) isNull() bool { return n != nil && n.shape == scalar && n.value == nil }

// plain returns the value as encoding/json would have decoded it with UseNumber.
func (n *node) plain() any {
	switch n.shape {
	case mapping:
		m := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			m[f.name] = f.value.plain()
		}
		return m
	case list:
		l := make([]any, len(n.items))
		for i, v := range n.items {
			l[i] = v.plain()
		}
		return l
	}
	return n.value
}

func (n *node) json() json.RawMessage {
	b, _ := json.Marshal(n.plain()) // made of strings, numbers, bools, maps and lists
	return b
}

// only returns a mapping with the named fields.
func (n *node) only(keep func(name string) bool) *node {
	m := &node{at: n.at, shape: mapping}
	for _, f := range n.fields {
		if keep(f.name) {
			m.fields = append(m.fields, f)
		}
	}
	return m
}

// find walks to a place; it returns the deepest node on the way and whether that is the place itself.
func (n *node) find(place path) (*node, bool) {
	for _, step := range place {
		var next *node
		switch {
		case n.shape == list && step.name == "" && step.index < len(n.items):
			next = n.items[step.index]
		case n.shape == mapping && step.name != "":
			next = n.get(step.name)
		}
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// keyAt returns the position of the key that a place ends with, or of the deepest thing on the way to it.
func (n *node) keyAt(place path) position {
	at := n.at
	for _, step := range place {
		switch {
		case n.shape == list && step.name == "" && step.index < len(n.items):
			n = n.items[step.index]
			at = n.at
			continue
		case n.shape == mapping && step.name != "":
			i := -1
			for j, f := range n.fields {
				if f.name == step.name {
					i = j
				}
			}
			if i >= 0 {
				at, n = n.fields[i].key, n.fields[i].value
				continue
			}
		}
		return at
	}
	return at
}

// step is a key or, with an empty name, an index.
type step struct {
	name  string
	index int
}

type path []step

func (p path) key(name string) path { return append(p[:len(p):len(p)], step{name: name}) }
func (p path) item(i int) path      { return append(p[:len(p):len(p)], step{index: i}) }

// String writes producers[1].tls.ca; a key that is no plain word is quoted.
func (p path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case !plainWord(s.name):
			b.WriteString("[" + strconv.Quote(s.name) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// parsePath reads what a plugin names: path, tls.ca, urls[1].
func parsePath(s string) (p path) {
	for _, part := range strings.Split(s, ".") {
		name, rest, _ := strings.Cut(part, "[")
		if name != "" {
			p = p.key(name)
		}
		for rest != "" {
			var digits string
			digits, rest, _ = strings.Cut(rest, "]")
			i, err := strconv.Atoi(digits)
			if err != nil || i < 0 {
				return p
			}
			p = p.item(i)
			rest = strings.TrimPrefix(rest, "[")
		}
	}
	return p
}

func plainWord(s string) bool {
	for _, r := range s {
		if r > 0x7e || r <= ' ' || strings.ContainsRune(`.[]":;,`, r) {
			return false
		}
	}
	return s != ""
}
