package stix

import (
	"encoding/json"
	"slices"
)

// Extension definitions that carry OpenCTI's and MITRE's properties.
const (
	OpenCTIExtension    = "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba"
	OpenCTISCOExtension = "extension-definition--f93e2c80-4231-4f9a-af8b-95c9bd566a82"
	MITREExtension      = "extension-definition--322b8f77-262a-4cb8-a915-1e441e00329b"
)

// Object is one STIX object: its JSON as received, and the head that [Parse] scanned from
// it. Everything else is decoded on demand, so unknown properties, member order and the
// text of numbers survive. It is immutable, small, and safe for concurrent use.
//
// The zero Object holds nothing; its accessors return zero values.
type Object struct{ h *head }

// IsZero reports whether o holds nothing.
func (o Object) IsZero() bool { return o.h == nil }

// Raw is the object's JSON on one line without insignificant white space. Do not modify it.
func (o Object) Raw() []byte {
	if o.h == nil {
		return nil
	}
	return o.h.raw
}

func (o Object) str(f field) string {
	if o.h == nil {
		return ""
	}
	return o.h.text[f]
}

// ID is the STIX identifier.
func (o Object) ID() string { return o.str(fieldID) }

// Type is the STIX type, 1 to 250 characters of a-z, 0-9 and hyphen.
func (o Object) Type() string { return o.str(fieldType) }

// Modified is the version's timestamp as written, empty where there is none (observables)
// or where it is no string.
func (o Object) Modified() string { return o.str(fieldModified) }

// Created is the creation timestamp as written.
func (o Object) Created() string { return o.str(fieldCreated) }

// SpecVersion is spec_version as written; STIX 2.0 objects have none.
func (o Object) SpecVersion() string { return o.str(fieldSpecVersion) }

// ValidUntil is valid_until as written.
func (o Object) ValidUntil() string { return o.str(fieldValidUntil) }

// CreatedBy is created_by_ref.
func (o Object) CreatedBy() string { return o.str(fieldCreatedBy) }

// Revoked reports whether the object is marked as revoked.
func (o Object) Revoked() bool { return o.h != nil && o.h.revoked }

// String is the id, for logs.
func (o Object) String() string { return o.ID() }

// Equal reports whether both have the same content: the same canonical form.
func (o Object) Equal(p Object) bool {
	if o.h == nil || p.h == nil {
		return o.h == p.h
	}
	return o.h == p.h || o.Digest() == p.Digest()
}

// MarshalJSON is the raw object, or null for the zero Object.
func (o Object) MarshalJSON() ([]byte, error) {
	if o.h == nil {
		return []byte("null"), nil
	}
	return o.h.raw, nil
}

// UnmarshalJSON parses a copy of raw; null gives the zero Object.
func (o *Object) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		*o = Object{}
		return nil
	}
	p, err := Parse(slices.Clone(raw))
	if err != nil {
		return err
	}
	*o = p
	return nil
}

// Stub is an object of which only type and id are known, as for a delete of something
// never seen. Both must be usable; otherwise the zero Object is returned.
func Stub(typ, id string) Object {
	raw := append(make([]byte, 0, len(typ)+len(id)+20), `{"type":`...)
	raw = appendText(raw, typ)
	raw = append(raw, `,"id":`...)
	raw = appendText(raw, id)
	o, err := Parse(append(raw, '}'))
	if err != nil {
		return Object{}
	}
	return o
}

// Decode unmarshals the whole object into a Go value.
func (o Object) Decode(into any) error {
	if o.h == nil {
		return ErrNotObject
	}
	return json.Unmarshal(o.h.raw, into)
}

// Markings are the marking-definition ids of the whole object and of its parts
// (granular markings), each once, the object's own first.
func (o Object) Markings() []string {
	var refs []string
	o.eachMarking(func(id string) bool {
		if !slices.Contains(refs, id) {
			refs = append(refs, id)
		}
		return true
	})
	return refs
}

func (o Object) eachMarking(yield func(string) bool) {
	if o.h == nil {
		return
	}
	for _, ref := range elements(o.h.value(spanMarkings)) {
		if ref[0] != '"' {
			continue
		}
		if id, _ := text(ref); !yield(id) {
			return
		}
	}
	for _, granular := range elements(o.h.value(spanGranular)) {
		for key, ref := range members(granular) {
			if ref[0] != '"' || key != "marking_ref" {
				continue
			}
			if id, _ := text(ref); !yield(id) {
				return
			}
		}
	}
}

// GrantedRefs are the organisations that the object is shared with, from OpenCTI's
// extension and from x_opencti_granted_refs, each once.
func (o Object) GrantedRefs() []string {
	if o.h == nil {
		return nil
	}
	var refs []string
	add := func(list []byte) {
		for _, ref := range elements(list) {
			if ref[0] != '"' {
				continue
			}
			if id, _ := text(ref); !slices.Contains(refs, id) {
				refs = append(refs, id)
			}
		}
	}
	if list, ok := lookup(o.h.value(spanExtensions), OpenCTIExtension, "granted_refs"); ok {
		add(list)
	}
	add(o.h.value(spanGranted))
	return refs
}
