package stix

import (
	"bytes"
	"strconv"
	"strings"
)

// maxFlaws bounds the list for one object.
const maxFlaws = 16

// Flaws are the things about the object's JSON that other readers may understand
// differently, each in words with a JSON pointer: a member name that occurs twice (here
// the last one counts), a lone surrogate (no UTF-8 form), a head member of the wrong kind.
// They are no reason to refuse it. Computed on every call.
func (o Object) Flaws() []string {
	if o.h == nil {
		return nil
	}
	var f flaws
	f.object(o.h.raw, "", o.h.surrogate)
	for key, value := range members(o.h.raw) {
		switch key {
		case "modified", "created", "spec_version", "valid_until", "created_by_ref":
			f.kind(value[0] == '"', key, "string")
		case "object_marking_refs", "granular_markings":
			f.kind(value[0] == '[', key, "list")
		case "revoked":
			f.kind(value[0] == 't' || value[0] == 'f', key, "boolean")
		}
	}
	return f
}

type flaws []string

func (f *flaws) add(what string) {
	if len(*f) < maxFlaws {
		*f = append(*f, what)
	}
}

func (f *flaws) kind(ok bool, key, want string) {
	if !ok {
		f.add("/" + key + ": not a " + want)
	}
}

func (f *flaws) value(raw []byte, at string, surrogates bool) {
	switch raw[0] {
	case '{':
		f.object(raw, at, surrogates)
	case '[':
		if !surrogates && bytes.IndexByte(raw, '{') < 0 {
			return
		}
		for n, value := range elements(raw) {
			f.value(value, at+"/"+strconv.Itoa(n), surrogates)
		}
	case '"':
		if !surrogates {
			return
		}
		if _, whole := text(raw); !whole {
			f.add(at + ": lone surrogate")
		}
	}
}

func (f *flaws) object(raw []byte, at string, surrogates bool) {
	var few [24]string
	names := few[:0]
	var many map[string]bool
	for key, value := range members(raw) {
		double := many[key]
		if many == nil {
			for _, name := range names {
				if name == key {
					double = true
					break
				}
			}
		}
		if double {
			f.add(at + "/" + pointer(key) + ": member occurs twice")
		}
		switch {
		case many != nil:
			many[key] = true
		case len(names) < cap(names):
			names = append(names, key)
		default:
			many = map[string]bool{key: true}
			for _, name := range names {
				many[name] = true
			}
		}
		switch c := value[0]; {
		case c == '{' || c == '[' || surrogates && c == '"':
			f.value(value, at+"/"+pointer(key), surrogates)
		}
		if surrogates && strings.ContainsRune(key, '\uFFFD') {
			f.add(at + "/" + pointer(key) + ": member name may hold a lone surrogate")
		}
	}
}

// pointer escapes a member name for a JSON pointer (RFC 6901).
func pointer(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
