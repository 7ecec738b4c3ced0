package stix

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrNoID is an object for which no deterministic id exists: its type has no rule, or what
// the rule needs is missing or unusable.
var ErrNoID = errors.New("no deterministic id")

// namespace is the UUID namespace of STIX observables, which OpenCTI uses for everything.
var namespace = [16]byte{0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c, 0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7}

// ID is the deterministic id of an object (which need not have an id yet), byte for byte
// that of OpenCTI's Python client and, for observables, of the STIX library beneath it.
// Besides STIX objects it knows OpenCTI's label, kill-chain-phase, external-reference and
// vocabulary. errors.Is(err, ErrNoID) where there is none; one must not be invented then.
//
// Dates are hashed as the text that is there. The platform hashes them as
// YYYY-MM-DDTHH:MM:SS.mmmZ: write that form if the id should be the platform's.
func ID(raw []byte) (string, error) {
	value, err := compact(raw)
	if err != nil {
		return "", err
	}
	if value[0] != '{' {
		return "", ErrNotObject
	}
	return deterministic(value)
}

// DeterministicID is [ID] of the object, whatever id it has.
func (o Object) DeterministicID() (string, error) {
	if o.h == nil {
		return "", ErrNotObject
	}
	return deterministic(o.h.raw)
}

// pool keeps data: it is large, and ids are computed by the million.
var pool = sync.Pool{New: func() any { return new(data) }}

func deterministic(raw []byte) (string, error) {
	d := pool.Get().(*data)
	defer pool.Put(d)
	defer d.reset()
	d.raw = raw
	d.look()
	typ, ok := d.member("type")
	if !ok || typ[0] != '"' {
		return "", fmt.Errorf("%w: no type", ErrNoID)
	}
	name, _ := text(typ)
	if rule, ok := rules[name]; ok {
		rule(d)
	} else if contributing, ok := observables[name]; ok {
		d.observable(name, contributing)
	} else {
		d.fail("no rule for this type")
	}
	switch {
	case d.err != nil:
		return "", fmt.Errorf("%s: %w", name, d.err)
	case d.fixed != "":
		return d.fixed, nil
	case len(d.list) == 0:
		return "", fmt.Errorf("%s: %w: nothing that contributes is set", name, ErrNoID)
	}
	if short, ok := prefixes[name]; ok {
		name = short
	}
	return d.hash(name), nil
}

// prefixes are the types whose ids have another prefix.
var prefixes = map[string]string{
	"x-opencti-case-incident": "case-incident",
	"x-opencti-case-rfi":      "case-rfi",
	"x-opencti-case-rft":      "case-rft",
	"x-opencti-feedback":      "feedback",
	"x-opencti-task":          "task",
	"x-opencti-incident":      "incident",
	"x-mitre-data-component":  "data-component",
	"x-mitre-data-source":     "data-source",
}

// data is what is hashed: canonical values by name.
type data struct {
	raw   []byte
	index []memberAt // its members, with decoded names
	list  []memberAt
	room  [8]memberAt
	buf   [512]byte
	out   []byte // the values
	fixed string // the id, where it is given and not computed
	err   error
}

// reset forgets everything, so that nothing of the object is kept.
func (d *data) reset() {
	d.raw, d.list, d.out, d.fixed, d.err = nil, nil, nil, "", nil
	clear(d.room[:])
	if clear(d.index); cap(d.index) > 1000 {
		d.index = nil
	}
}

func (d *data) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrNoID}, args...)...)
	}
}

// look finds the members, once for all that is asked for.
func (d *data) look() {
	d.index = d.index[:0]
	for i := 1; i < len(d.raw)-1; {
		colon := behindText(d.raw, i)
		end := behind(d.raw, colon+1)
		key := d.raw[i+1 : colon-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			key, _ = unescape(nil, key)
		}
		d.index = append(d.index, memberAt{key, d.raw[colon+1 : end : end]})
		i = end + 1
	}
}

// member is the raw value of a top-level member; of two the last.
func (d *data) member(name string) (found []byte, ok bool) {
	for i := len(d.index) - 1; i >= 0; i-- {
		if m := &d.index[i]; string(m.name) == name {
			return m.value, true
		}
	}
	return nil, false
}

func decoded(raw []byte) string {
	s, _ := text(raw)
	return s
}

// some is a member that is there and not null.
func (d *data) some(name string) ([]byte, bool) {
	value, ok := d.member(name)
	return value, ok && value[0] != 'n'
}

// add appends a canonical value under name; write gets the buffer to append it to.
func (d *data) add(name string, write func(dst []byte) ([]byte, error)) {
	if d.err != nil {
		return
	}
	if d.out == nil {
		d.out, d.list = d.buf[:0], d.room[:0]
	}
	start := len(d.out)
	out, err := write(d.out)
	if err != nil {
		d.fail("%s: %v", name, err)
		return
	}
	d.out = out
	d.list = append(d.list, memberAt{bytesOf(name), out[start:len(out):len(out)]})
}

// text adds a decoded string.
func (d *data) text(name, value string) {
	d.add(name, func(dst []byte) ([]byte, error) { return appendText(dst, value), nil })
}

// verbatim adds any JSON value as it is.
func (d *data) verbatim(name string, raw []byte) {
	d.add(name, func(dst []byte) ([]byte, error) { return canonicalLast.append(dst, raw) })
}

// hash is the id over the data: a version 5 UUID of its canonical form.
func (d *data) hash(prefix string) string {
	slices.SortFunc(d.list, func(a, b memberAt) int { return bytes.Compare(a.name, b.name) })
	var room [640]byte
	out := append(append(room[:0], namespace[:]...), '{')
	for i, m := range d.list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, m.name), ':')
		out = append(out, m.value...)
	}
	sum := sha1.Sum(append(out, '}'))
	return uuid5(prefix, sum)
}

// uuid5 makes an id out of the first 16 bytes of the hash.
func uuid5(prefix string, sum [20]byte) string {
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	var room [96]byte
	id := append(append(room[:0], prefix...), "--"...)
	for i, n := range [...]int{4, 2, 2, 2, 6} {
		if i > 0 {
			id = append(id, '-')
		}
		id = hex.AppendEncode(id, u[:n])
		u = u[n:]
	}
	return string(id)
}
