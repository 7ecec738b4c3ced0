package where

import (
	"encoding/json"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// stateName is the only variable of the rewritten expression; it is no word that anybody can write.
const stateName = "\x00"

type raw = json.RawMessage

// state is what one evaluation knows: members are found in one pass, decoded when they are read, and once.
type state struct {
	object  stix.Object
	vars    Vars
	names   []string
	raw     []raw
	values  []any
	have    []bool
	scanned bool
	missing bool
	steps   int

	scored, authored bool
	score, author    any
}

func (s *state) begin(o stix.Object, vars Vars) {
	s.object, s.vars = o, vars
}

// end lets go of the object.
func (s *state) end() {
	clear(s.raw)
	clear(s.values)
	clear(s.have)
	*s = state{names: s.names, raw: s.raw, values: s.values, have: s.have}
}

// miss notes that a comparison had nothing to compare.
func (s *state) miss() bool { s.missing = true; return false }

// member returns the value of the i-th member that the program reads; nil when it is missing or null.
func (s *state) member(i int) any {
	if !s.have[i] {
		s.have[i] = true
		if b := s.bytes(i); b != nil {
			s.values[i] = decode(b)
		}
	}
	return s.values[i]
}

// bytes returns the JSON of the i-th member.
func (s *state) bytes(i int) raw {
	if !s.scanned {
		s.scanned = true
		for name, value := range s.object.Members() {
			for j, want := range s.names {
				if name == want {
					s.raw[j] = value
				}
			}
		}
	}
	return s.raw[i]
}

// named returns the JSON of a member that a helper reads.
func (s *state) named(name string) raw {
	for i, n := range s.names {
		if n == name {
			return s.bytes(i)
		}
	}
	return nil
}

// decode reads a JSON value: whole numbers as int, others as float64.
func decode(b raw) any {
	switch b[0] {
	case '"':
		if inner := b[1 : len(b)-1]; plain(inner) {
			return string(inner)
		}
	case 't':
		return true
	case 'f':
		return false
	case 'n':
		return nil
	case '[':
		if list, ok := flat(b); ok {
			return list
		}
	case '{':
	default:
		if n, ok := smallInt(b); ok {
			return n
		}
	}
	var v any
	if json.Unmarshal(b, &v) != nil {
		return nil // lone surrogates and the like: as good as missing
	}
	return v
}

func plain(b []byte) bool {
	for _, c := range b {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// smallInt reads a whole number of up to 15 digits, which a float64 holds as well.
func smallInt(b []byte) (n int, ok bool) {
	neg := b[0] == '-'
	digits := b
	if neg {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}

// extensions are the places where OpenCTI keeps what STIX has no property for, in the order of its own parts.
var extensions = [...]string{stix.OpenCTIExtension, stix.OpenCTISCOExtension}

// scoreOf returns OpenCTI's score, a number, or nil.
func (s *state) scoreOf() any {
	if !s.scored {
		s.scored = true
		s.score = s.outside("score", "x_opencti_score")
		if _, ok := number(s.score); !ok {
			s.score = nil
		}
	}
	return s.score
}

// outside looks a property up in the extensions, then under OpenCTI's old name.
func (s *state) outside(name, old string) any {
	if ext := s.named("extensions"); ext != nil {
		for _, e := range extensions {
			if b := child(child(ext, e), name); b != nil {
				if v := decode(b); v != nil {
					return v
				}
			}
		}
	}
	if b := s.named(old); b != nil {
		return decode(b)
	}
	return nil
}

// labelsOf returns all labels, from the object and OpenCTI's extension, each once; never nil.
func (s *state) labelsOf() any {
	out := []any{}
	add := func(v any) {
		list, _ := v.([]any)
		for _, l := range list {
			text, ok := l.(string)
			if !ok {
				continue
			}
			known := false
			for _, have := range out {
				known = known || have == text
			}
			if !known {
				out = append(out, text)
			}
		}
	}
	if b := s.named("labels"); b != nil {
		add(decode(b))
	}
	add(s.outside("labels", "x_opencti_labels"))
	return out
}

// identity is what author() returns: it equals the id and the name.
type identity struct{ id, name string }

func (i identity) text() string {
	if i.name != "" {
		return i.name
	}
	return i.id
}

func (i identity) any(f func(string) bool) bool {
	return f(i.id) || i.name != "" && f(i.name)
}

// authorOf returns who made the object, or nil.
func (s *state) authorOf() any {
	if s.authored {
		return s.author
	}
	s.authored = true
	id := s.object.CreatedBy()
	if id == "" {
		id, _ = s.outside("created_by_ref", "x_opencti_created_by_ref").(string)
	}
	if id == "" || !strings.Contains(id, "--") {
		return nil
	}
	who := identity{id: id}
	if s.vars.Resolve != nil {
		if o, ok := s.vars.Resolve(id); ok {
			who.name = o.Text("name")
		}
	}
	s.author = who
	return s.author
}
