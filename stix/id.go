package stix

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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

func deterministic(raw []byte) (string, error) {
	d := data{raw: raw}
	typ, ok := d.member("type")
	if !ok || typ[0] != '"' {
		return "", fmt.Errorf("%w: no type", ErrNoID)
	}
	name, _ := text(typ)
	if rule, ok := rules[name]; ok {
		rule(&d)
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
	list  []memberAt
	room  [8]memberAt
	buf   [512]byte
	out   []byte // the values
	fixed string // the id, where it is given and not computed
	err   error
}

func (d *data) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrNoID}, args...)...)
	}
}

// member is the raw value of a top-level member; of two the last.
func (d *data) member(name string) (found []byte, ok bool) {
	raw := d.raw
	for i := 1; i < len(raw)-1; {
		colon := behindText(raw, i)
		end := behind(raw, colon+1)
		key := raw[i+1 : colon-1]
		if string(key) == name || bytes.IndexByte(key, '\\') >= 0 && decoded(raw[i:colon]) == name {
			found = raw[colon+1 : end : end]
		}
		i = end + 1
	}
	return found, found != nil
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
	d.list = append(d.list, memberAt{[]byte(name), out[start:len(out):len(out)]})
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
