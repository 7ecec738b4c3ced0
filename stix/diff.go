package stix

import (
	"fmt"
	"strconv"
)

// Change is one difference between two versions of an object.
type Change struct {
	Op       string // "add", "remove" or "replace"
	Pointer  string // RFC 6901; in a patch each refers to the state after those before
	Old, New []byte // raw JSON; nil where there is none
}

// String is the change in words, for people.
func (c Change) String() string {
	switch c.Op {
	case "add":
		return fmt.Sprintf("%s added: %s", c.Pointer, brief(c.New))
	case "remove":
		return fmt.Sprintf("%s removed: %s", c.Pointer, brief(c.Old))
	}
	return fmt.Sprintf("%s changed from %s to %s", c.Pointer, brief(c.Old), brief(c.New))
}

func brief(raw []byte) string {
	const most = 80
	s := string(raw)
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

// Changes are the differences that make to out of from, in the order in which they have to
// be applied. Values are equal when their canonical forms are.
func Changes(from, to Object) []Change {
	var d differ
	if from.h == nil || to.h == nil {
		return nil
	}
	d.value(from.h.raw, to.h.raw, "")
	return d.list
}

// Diff is the JSON patch (RFC 6902) that makes to out of from. Diff(to, from) is the reverse
// patch, which leads back.
func Diff(from, to Object) []byte {
	out := []byte{'['}
	for i, c := range Changes(from, to) {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(append(out, `{"op":`...), c.Op)
		out = appendText(append(out, `,"path":`...), c.Pointer)
		if c.Op != "remove" {
			out = append(append(out, `,"value":`...), c.New...)
		}
		out = append(out, '}')
	}
	return append(out, ']')
}

// Changed are the names of the top-level members that differ.
func Changed(from, to Object) []string {
	var names []string
	if from.h == nil || to.h == nil {
		return nil
	}
	for _, m := range final(from.h.raw) {
		if other, ok := lookup(to.h.raw, m.name); !ok || !same(m.value, other) {
			names = append(names, m.name)
		}
	}
	for _, m := range final(to.h.raw) {
		if _, ok := lookup(from.h.raw, m.name); !ok {
			names = append(names, m.name)
		}
	}
	return names
}

type differ struct{ list []Change }

func (d *differ) add(op, at string, old, new []byte) {
	d.list = append(d.list, Change{op, at, old, new})
}

func (d *differ) value(from, to []byte, at string) {
	switch {
	case same(from, to):
	case from[0] == '{' && to[0] == '{':
		d.object(from, to, at)
	case from[0] == '[' && to[0] == '[':
		d.array(from, to, at)
	default:
		d.add("replace", at, from, to)
	}
}

type named struct {
	name  string
	value []byte
}

// final are the members of an object, of those with one name only the last.
func final(raw []byte) []named {
	var list []named
	place := map[string]int{}
	for name, value := range members(raw) {
		if i, ok := place[name]; ok {
			list[i].value = value
			continue
		}
		place[name] = len(list)
		list = append(list, named{name, value})
	}
	return list
}

func (d *differ) object(from, to []byte, at string) {
	before, after := final(from), final(to)
	old := make(map[string][]byte, len(before))
	for _, m := range before {
		old[m.name] = m.value
	}
	kept := make(map[string]bool, len(after))
	for _, m := range after {
		kept[m.name] = true
	}
	for _, m := range before {
		if !kept[m.name] {
			d.add("remove", at+"/"+pointer(m.name), m.value, nil)
		}
	}
	for _, m := range after {
		if was, ok := old[m.name]; ok {
			d.value(was, m.value, at+"/"+pointer(m.name))
		} else {
			d.add("add", at+"/"+pointer(m.name), nil, m.value)
		}
	}
}

func (d *differ) array(from, to []byte, at string) {
	var before, after [][]byte
	for _, v := range elements(from) {
		before = append(before, v)
	}
	for _, v := range elements(to) {
		after = append(after, v)
	}
	start := 0
	for start < len(before) && start < len(after) && same(before[start], after[start]) {
		start++
	}
	end := 0
	for end < len(before)-start && end < len(after)-start && same(before[len(before)-1-end], after[len(after)-1-end]) {
		end++
	}
	before, after = before[start:len(before)-end], after[start:len(after)-end]
	place := func(i int) string { return at + "/" + strconv.Itoa(start+i) }
	both := min(len(before), len(after))
	for i := range both {
		d.value(before[i], after[i], place(i))
	}
	for i := len(before) - 1; i >= both; i-- {
		d.add("remove", place(i), before[i], nil)
	}
	for i := both; i < len(after); i++ {
		d.add("add", place(i), nil, after[i])
	}
}

// Merge joins two versions of an object: the members of newer, and those that only older
// has; lists of references, labels and the like hold what either has, newer's first.
func Merge(older, newer Object) (Object, error) {
	if older.h == nil || newer.h == nil {
		return Object{}, ErrNotObject
	}
	var raw []byte
	for _, m := range final(newer.h.raw) {
		value := m.value
		if other, ok := lookup(older.h.raw, m.name); ok && value[0] == '[' && other[0] == '[' {
			value = union(value, other)
		}
		raw = appendMember(raw, m.name, value)
	}
	for _, m := range final(older.h.raw) {
		if _, ok := lookup(newer.h.raw, m.name); !ok {
			raw = appendMember(raw, m.name, m.value)
		}
	}
	return Parse(append(raw, '}'))
}

func appendMember(raw []byte, name string, value []byte) []byte {
	if len(raw) == 0 {
		raw = append(raw, '{')
	} else {
		raw = append(raw, ',')
	}
	return append(append(appendText(raw, name), ':'), value...)
}

// union is a list with what either list has, each once.
func union(a, b []byte) []byte {
	seen := map[string]bool{}
	out := []byte{'['}
	for _, list := range [][]byte{a, b} {
		for _, value := range elements(list) {
			key, err := appendCanonical(nil, value)
			if err != nil {
				key = value
			}
			if seen[string(key)] {
				continue
			}
			seen[string(key)] = true
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, value...)
		}
	}
	return append(out, ']')
}
