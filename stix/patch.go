package stix

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrPatch is a patch that is malformed or does not fit the object.
var ErrPatch = errors.New("patch does not apply")

// Apply applies a JSON patch (RFC 6902), as OpenCTI sends in a change's context, and
// returns the patched object: all of the patch or an error. What it does not touch stays
// byte for byte.
func (o Object) Apply(patch []byte) (Object, error) {
	if o.h == nil {
		return Object{}, ErrNotObject
	}
	ops, err := compact(patch)
	if err != nil {
		return Object{}, fmt.Errorf("%w: %w", ErrPatch, err)
	}
	if ops[0] != '[' {
		return Object{}, fmt.Errorf("%w: it is not a list", ErrPatch)
	}
	raw := o.h.raw
	for n, op := range elements(ops) {
		if raw, err = applyOne(raw, op); err != nil {
			return Object{}, fmt.Errorf("%w: operation %d: %w", ErrPatch, n, err)
		}
		if len(raw) > len(o.h.raw)+len(ops)+DefaultMax { // copies of copies grow fast
			return Object{}, fmt.Errorf("%w: operation %d: %w", ErrPatch, n, ErrTooLarge)
		}
	}
	return Parse(raw)
}

func applyOne(raw, op []byte) ([]byte, error) {
	if op[0] != '{' {
		return nil, errors.New("not an object")
	}
	field := func(name string) (string, error) {
		value, ok := lookup(op, name)
		if !ok || value[0] != '"' {
			return "", fmt.Errorf("no %s", name)
		}
		s, _ := text(value)
		return s, nil
	}
	kind, err := field("op")
	if err != nil {
		return nil, err
	}
	place, err := field("path")
	if err != nil {
		return nil, err
	}
	path, err := parsePointer(place)
	if err != nil {
		return nil, err
	}
	value, hasValue := lookup(op, "value")
	var from []string
	switch kind {
	case "add", "replace", "test":
		if !hasValue {
			return nil, errors.New("no value")
		}
	case "move", "copy":
		source, err := field("from")
		if err != nil {
			return nil, err
		}
		if from, err = parsePointer(source); err != nil {
			return nil, err
		}
		if value, err = at(raw, from); err != nil {
			return nil, err
		}
	}
	switch kind {
	case "add", "copy":
		return edit(raw, path, editAdd, value)
	case "replace":
		return edit(raw, path, editReplace, value)
	case "remove":
		return edit(raw, path, editRemove, nil)
	case "move":
		if strings.HasPrefix(place+"/", pointerText(from)+"/") && len(path) > len(from) {
			return nil, errors.New("a value cannot move into itself")
		}
		value = bytes.Clone(value)
		if raw, err = edit(raw, from, editRemove, nil); err != nil {
			return nil, err
		}
		return edit(raw, path, editAdd, value)
	case "test":
		found, err := at(raw, path)
		if err != nil {
			return nil, err
		}
		if !same(found, value) {
			return nil, fmt.Errorf("%s has another value", place)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("unknown operation %q", kind)
}

// parsePointer splits a JSON pointer (RFC 6901).
func parsePointer(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	if s[0] != '/' {
		return nil, fmt.Errorf("%.60q is no JSON pointer", s)
	}
	path := strings.Split(s[1:], "/")
	if len(path) > MaxDepth {
		return nil, ErrTooDeep
	}
	for i, step := range path {
		path[i] = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
	}
	return path, nil
}

func pointerText(path []string) string {
	var b strings.Builder
	for _, step := range path {
		b.WriteString("/" + pointer(step))
	}
	return b.String()
}

// at is the value at a path.
func at(raw []byte, path []string) ([]byte, error) {
	for i, step := range path {
		if raw[0] == '[' {
			if _, err := index(step, 1<<30); err != nil || step == "-" {
				return nil, notThere(path[:i+1])
			}
		}
		next, ok := lookup(raw, step)
		if !ok {
			return nil, notThere(path[:i+1])
		}
		raw = next
	}
	return raw, nil
}

func notThere(path []string) error { return fmt.Errorf("%.200s is not there", pointerText(path)) }

// same reports whether two values are equal.
func same(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, err := appendCanonical(nil, a)
	y, yerr := appendCanonical(nil, b)
	return err == nil && yerr == nil && bytes.Equal(x, y)
}

// index reads an array index; "-" is the one behind the last.
func index(step string, length int) (int, error) {
	if step == "-" {
		return length, nil
	}
	n, err := strconv.Atoi(step)
	if err != nil || n < 0 || step != strconv.Itoa(n) || n > length {
		return 0, fmt.Errorf("%.60q is no position in the list", step)
	}
	return n, nil
}

type edition uint8

const (
	editAdd edition = iota
	editReplace
	editRemove
)

// edit returns raw with the value at path added, replaced or removed.
func edit(raw []byte, path []string, how edition, value []byte) ([]byte, error) {
	if len(path) == 0 {
		if how == editRemove {
			return nil, errors.New("the whole object cannot be removed")
		}
		return value, nil
	}
	var err error
	switch raw[0] {
	case '{':
		raw, err = editMember(raw, path, how, value)
	case '[':
		raw, err = editElement(raw, path, how, value)
	default:
		err = notThere(path[:1])
	}
	return raw, err
}

func editMember(raw []byte, path []string, how edition, value []byte) ([]byte, error) {
	// Of members with one name the last counts; removing takes all of them.
	start, from, to := -1, 0, 0
	for i := 1; i < len(raw)-1; {
		colon := behindText(raw, i)
		end := behind(raw, colon+1)
		if decoded(raw[i:colon]) == path[0] {
			start, from, to = i, colon+1, end
		}
		i = end + 1
	}
	last := len(path) == 1
	switch {
	case start < 0 && (!last || how != editAdd):
		return nil, notThere(path[:1])
	case start < 0:
		out := append(make([]byte, 0, len(raw)+len(path[0])+len(value)+8), raw[:len(raw)-1]...)
		if len(raw) > 2 {
			out = append(out, ',')
		}
		out = append(appendText(out, path[0]), ':')
		return append(append(out, value...), '}'), nil
	case last && how == editRemove:
		out := append(make([]byte, 0, len(raw)), '{')
		for i := 1; i < len(raw)-1; {
			colon := behindText(raw, i)
			end := behind(raw, colon+1)
			if decoded(raw[i:colon]) != path[0] {
				if len(out) > 1 {
					out = append(out, ',')
				}
				out = append(out, raw[i:end]...)
			}
			i = end + 1
		}
		return append(out, '}'), nil
	case !last:
		var err error
		if value, err = edit(raw[from:to:to], path[1:], how, value); err != nil {
			return nil, err
		}
	}
	return splice(raw, from, to, value), nil
}

func editElement(raw []byte, path []string, how edition, value []byte) ([]byte, error) {
	type place struct{ from, to int }
	var places []place
	for i := 1; i < len(raw)-1; {
		end := behind(raw, i)
		places = append(places, place{i, end})
		i = end + 1
	}
	n, err := index(path[0], len(places))
	if err != nil {
		return nil, err
	}
	last := len(path) == 1
	if last && how == editAdd {
		if n == len(places) {
			end := len(raw) - 1
			if n > 0 {
				value = append([]byte{','}, value...)
			}
			return splice(raw, end, end, value), nil
		}
		value = append(append(make([]byte, 0, len(value)+1), value...), ',')
		return splice(raw, places[n].from, places[n].from, value), nil
	}
	if n == len(places) {
		return nil, notThere(path[:1])
	}
	from, to := places[n].from, places[n].to
	if last && how == editRemove {
		switch {
		case n+1 < len(places):
			to = places[n+1].from
		case n > 0:
			from = places[n-1].to
		}
		return splice(raw, from, to, nil), nil
	}
	if !last {
		if value, err = edit(raw[from:to:to], path[1:], how, value); err != nil {
			return nil, err
		}
	}
	return splice(raw, from, to, value), nil
}

func splice(raw []byte, from, to int, value []byte) []byte {
	out := append(make([]byte, 0, len(raw)-(to-from)+len(value)), raw[:from]...)
	out = append(out, value...)
	return append(out, raw[to:]...)
}
