package stix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
)

// The functions here walk JSON that is already known to be valid and compact.

// behind is the position after the value that starts at b[i].
func behind(b []byte, i int) int {
	switch b[i] {
	case '"':
		return behindText(b, i)
	case '{', '[':
		depth := 0
		for ; ; i++ {
			switch b[i] {
			case '"':
				i = behindText(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++
	}
	return i
}

func behindText(b []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(b[i:], '"')
		slashes := 0
		for slashes < n && b[i+n-1-slashes] == '\\' {
			slashes++
		}
		i += n + 1
		if slashes%2 == 0 {
			return i
		}
	}
}

// elements are the values of an array; none when b is anything else.
func elements(b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		if len(b) < 3 || b[0] != '[' {
			return
		}
		for i, n := 1, 0; i < len(b); n++ {
			end := behind(b, i)
			if !yield(n, b[i:end:end]) {
				return
			}
			i = end + 1
		}
	}
}

// members are the decoded names and the values of an object in their order, duplicates
// included; none when b is anything else.
func members(b []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if len(b) < 3 || b[0] != '{' {
			return
		}
		for i := 1; i < len(b); {
			colon := behindText(b, i)
			end := behind(b, colon+1)
			key, _ := text(b[i:colon])
			if !yield(key, b[colon+1:end:end]) {
				return
			}
			i = end + 1
		}
	}
}

// lookup follows member names and array positions into b.
func lookup(b []byte, path ...string) ([]byte, bool) {
	for _, step := range path {
		var found []byte
		if len(b) > 0 && b[0] == '[' {
			for n, value := range elements(b) {
				if strconv.Itoa(n) == step {
					found = value
					break
				}
			}
		}
		for key, value := range members(b) {
			if key == step {
				found = value // the last one counts
			}
		}
		if found == nil {
			return nil, false
		}
		b = found
	}
	return b, len(b) > 0
}

// Get returns the raw value of a member, or of a member within a member: each further path
// element is the name of a member or the position in an array. Do not modify the result.
func (o Object) Get(path ...string) (json.RawMessage, bool) {
	if o.h == nil {
		return nil, false
	}
	return lookup(o.h.raw, path...)
}

// Text is the decoded value of a string member, empty where there is no such member or
// where it is no string.
func (o Object) Text(path ...string) string {
	raw, ok := o.Get(path...)
	if !ok || raw[0] != '"' {
		return ""
	}
	s, _ := text(raw)
	return s
}

// Members are the top-level members in their order: decoded name, raw value. A name that
// occurs twice comes twice. Do not modify the values.
func (o Object) Members() iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for key, value := range members(o.Raw()) {
			if !yield(key, value) {
				return
			}
		}
	}
}

// Set returns an object in which the top-level member key has the given value, in its old
// place or at the end; everything else stays byte for byte. A json.RawMessage is taken as
// it is. Setting id or type to something unusable is an error.
func (o Object) Set(key string, value any) (Object, error) {
	if o.h == nil {
		return Object{}, ErrNotObject
	}
	encoded, err := encode(value)
	if err != nil {
		return Object{}, fmt.Errorf("%s: %w", key, err)
	}
	raw := o.h.raw
	out := make([]byte, 0, len(raw)+len(key)+len(encoded)+4)
	from, to := -1, 0
	for i := 1; i < len(raw)-1; {
		colon := behindText(raw, i)
		end := behind(raw, colon+1)
		if name, _ := text(raw[i:colon]); name == key {
			from, to = colon+1, end
		}
		i = end + 1
	}
	if from < 0 {
		out = append(out, raw[:len(raw)-1]...)
		if len(raw) > 2 {
			out = append(out, ',')
		}
		out = append(appendText(out, key), ':')
		out = append(out, encoded...)
		return Parse(append(out, '}'))
	}
	out = append(append(out, raw[:from]...), encoded...)
	return Parse(append(out, raw[to:]...))
}

// Drop returns an object without the named top-level members; everything else stays byte
// for byte. Dropping id or type is an error.
func (o Object) Drop(keys ...string) (Object, error) {
	if o.h == nil {
		return Object{}, ErrNotObject
	}
	raw := o.h.raw
	out := append(make([]byte, 0, len(raw)), '{')
	dropped := false
next:
	for i := 1; i < len(raw)-1; {
		colon := behindText(raw, i)
		start, end := i, behind(raw, colon+1)
		i = end + 1
		name, _ := text(raw[start:colon])
		for _, key := range keys {
			if name == key {
				dropped = true
				continue next
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, raw[start:end]...)
	}
	if !dropped {
		return o, nil
	}
	return Parse(append(out, '}'))
}

// encode is value as compact JSON.
func encode(value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendText(nil, v), nil
	case json.RawMessage:
		return compact(v)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// compact checks one JSON value and removes its insignificant white space; without any it
// returns raw itself.
func compact(raw []byte) ([]byte, error) {
	s := scanner{src: raw}
	if _, ok := s.next(); !ok {
		return nil, scanError(&s)
	}
	start := s.pos
	s.dst, s.from, s.cut = nil, start, false
	// A lone number has no end of its own: give it one.
	if c := raw[start]; c == '-' || c-'0' <= 9 {
		s.src = append(raw[:len(raw):len(raw)], ' ')
	}
	if !s.value(0) {
		return nil, scanError(&s)
	}
	end := s.pos
	value := s.src[s.from:end:end]
	if s.cut {
		value = append(s.dst, value...)
	}
	if s.badUTF8 > 0 {
		return nil, fmt.Errorf("byte %d: %w", s.badUTF8-1, ErrUTF8)
	}
	s.skip = true
	if _, more := s.next(); more {
		return nil, &SyntaxError{Offset: int64(s.pos), Index: -1, Msg: "data after the value"}
	}
	return value, nil
}
