package stix

import (
	"bytes"
	"fmt"
	"sync"
)

// field is a head member whose value is text.
type field uint8

const (
	fieldID field = iota
	fieldType
	fieldModified
	fieldCreated
	fieldSpecVersion
	fieldValidUntil
	fieldCreatedBy
	fieldCount
)

// part is a head member that is kept as a place in the raw bytes.
type part uint8

const (
	spanMarkings part = iota
	spanGranular
	spanExtensions
	spanGranted
	spanCount
)

type span struct{ from, to int32 }

// head is what Parse learns in its single pass. Texts without escapes alias raw.
type head struct {
	raw       []byte
	text      [fieldCount]string
	span      [spanCount]span
	revoked   bool
	surrogate bool // some string may hold a lone surrogate
}

func (h *head) value(p part) []byte { return h.raw[h.span[p].from:h.span[p].to] }

const (
	maxParse = 1 << 30 // bytes; places are 32 bits wide
	maxID    = 4096    // bytes; an id travels in a header
	maxType  = 250     // characters; a type is a token of a subject
)

// scratch holds buffers for objects that have white space to lose.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Parse reads one STIX object. It checks that raw is JSON in valid UTF-8, removes
// insignificant white space (without any, the object keeps raw itself: do not modify it
// afterwards) and scans the head. Where a member name occurs twice the last one counts.
//
// It refuses only what cannot be an event: not JSON ([*SyntaxError], [ErrUTF8],
// [ErrTooDeep], [ErrTooLarge]), no object, no id (or one with control characters or over
// 4096 bytes), no type or an unusable one. Duplicate members and lone surrogates are
// accepted; see [Object.Flaws].
func Parse(raw []byte) (Object, error) {
	buf := scratch.Get().(*[]byte)
	s := scanner{src: raw, dst: (*buf)[:0]}
	h, err := parse(&s)
	if s.cut {
		*buf = s.dst
	}
	if cap(*buf) <= 1<<20 {
		scratch.Put(buf)
	}
	if err != nil {
		return Object{}, err
	}
	s.skip = true
	if _, more := s.next(); more {
		return Object{}, &SyntaxError{Offset: int64(s.pos), Index: -1, Msg: "data after the object"}
	}
	return Object{h}, nil
}

// parse reads the object at s.pos; its bytes are the source's, or a copy of their own when
// white space was removed or s.own is set. With an error about the object's content, not its
// syntax, s.pos is behind it, and the head holds what could be read.
func parse(s *scanner) (*head, error) {
	if len(s.src) > maxParse {
		return nil, ErrTooLarge
	}
	if _, ok := s.next(); !ok {
		return nil, scanError(s)
	}
	// White space in front is left behind, not removed.
	start := s.pos
	s.dst, s.from, s.cut = s.dst[:0], start, false
	if s.src[s.pos] != '{' {
		if !s.value(0) {
			return nil, scanError(s)
		}
		return nil, ErrNotObject
	}
	var t heading
	if !t.scan(s) {
		return nil, scanError(s)
	}
	if s.badUTF8 > 0 {
		return nil, fmt.Errorf("byte %d of the object: %w", s.badUTF8-1-start, ErrUTF8)
	}
	h := &head{revoked: t.revoked, surrogate: s.surrogate, span: t.span}
	if s.cut {
		s.dst = append(s.dst, s.src[s.from:s.pos]...)
		s.from = s.pos
		h.raw = bytes.Clone(s.dst)
	} else if h.raw = s.src[s.from:s.pos:s.pos]; s.own {
		h.raw = bytes.Clone(h.raw)
	}
	return h, t.fill(h)
}

func scanError(s *scanner) error {
	if s.fail == failDeep {
		return fmt.Errorf("byte %d: %w", s.pos, ErrTooDeep)
	}
	return &SyntaxError{Offset: int64(s.pos), Index: -1, Msg: s.why}
}

// heading collects the places of the head's members during the scan.
type heading struct {
	at      [fieldCount]span // with quotes; to = 0 where absent or no string
	span    [spanCount]span
	seen    [2]bool // id, type
	revoked bool
}

func (t *heading) scan(s *scanner) bool {
	s.pos++
	c, ok := s.next()
	if !ok {
		return false
	}
	if c == '}' {
		s.pos++
		return true
	}
	for {
		start := s.pos
		if c != '"' {
			return s.syntax("a member name in double quotes must stand here")
		}
		if !s.str() {
			return false
		}
		key := s.src[start+1 : s.pos-1]
		if s.escaped {
			key, _ = unescape(nil, key)
		}
		if !s.colon() || !t.member(s, key) {
			return false
		}
		if c, ok = s.next(); !ok {
			return false
		}
		if c == '}' {
			s.pos++
			return true
		}
		if c, ok = s.comma(c); !ok {
			return false
		}
	}
}

// member scans the value of the top-level member key and notes it when it is of the head.
func (t *heading) member(s *scanner, key []byte) bool {
	f, p := fieldCount, spanCount
	switch string(key) {
	case "id":
		f = fieldID
	case "type":
		f = fieldType
	case "modified":
		f = fieldModified
	case "created":
		f = fieldCreated
	case "spec_version":
		f = fieldSpecVersion
	case "valid_until":
		f = fieldValidUntil
	case "created_by_ref":
		f = fieldCreatedBy
	case "object_marking_refs":
		p = spanMarkings
	case "granular_markings":
		p = spanGranular
	case "extensions":
		p = spanExtensions
	case "x_opencti_granted_refs":
		p = spanGranted
	case "revoked":
		t.revoked = s.src[s.pos] == 't'
		return s.value(1)
	default:
		return s.value(1)
	}
	first, from := s.src[s.pos], s.out()
	if !s.value(1) {
		return false
	}
	place := span{int32(from), int32(s.out())}
	switch {
	case p < spanCount:
		t.span[p] = place
	case first == '"':
		t.at[f] = place
	default:
		t.at[f] = span{}
	}
	if f <= fieldType {
		t.seen[f] = true
	}
	return true
}

// fill decodes the head's texts and judges whether this can be an event.
func (t *heading) fill(h *head) error {
	for f, place := range t.at {
		if place.to == 0 {
			continue
		}
		value, whole := text(h.raw[place.from:place.to])
		if field(f) == fieldID && !whole {
			return fmt.Errorf("%w: it holds a lone surrogate", ErrObjectID)
		}
		h.text[f] = value
	}
	id, typ := h.text[fieldID], h.text[fieldType]
	switch {
	case !t.seen[fieldType]:
		return ErrNoType
	case !usableType(typ):
		return ErrType
	case !t.seen[fieldID]:
		return fmt.Errorf("%w: the member is missing", ErrObjectID)
	case t.at[fieldID].to == 0:
		return fmt.Errorf("%w: it is not a string", ErrObjectID)
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrObjectID)
	case len(id) > maxID:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrObjectID, maxID)
	}
	for _, r := range id {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("%w: it holds a control character", ErrObjectID)
		}
	}
	return nil
}

func usableType(typ string) bool {
	if typ == "" || len(typ) > maxType {
		return false
	}
	for i := range len(typ) {
		c := typ[i]
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
