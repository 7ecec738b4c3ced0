package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

// Builder collects the properties of one object. Methods return the builder; the first
// mistake is kept and returned by Object. Not safe for concurrent use.
type Builder struct {
	typ   string
	props []property
	dated bool // the type has created and modified
	err   error
}

type property struct {
	name  string
	value any
}

// Custom starts an object of any type that has a deterministic id; domain says whether it
// is a domain object, with created and modified, or an observable.
func Custom(typ string, domain bool) *Builder { return &Builder{typ: typ, dated: domain} }

func domain(typ string) *Builder { return Custom(typ, true) }

// Set sets a property. Empty strings, empty lists and nil leave it out. The type and the id
// cannot be set: one is given, the other follows.
func (b *Builder) Set(name string, value any) *Builder {
	if name == "type" || name == "id" || name == "spec_version" {
		return b.fail("%s cannot be set", name)
	}
	switch v := value.(type) {
	case nil:
		return b
	case string:
		if v == "" {
			return b
		}
	case []string:
		if len(v) == 0 {
			return b
		}
	case time.Time:
		if v.IsZero() {
			return b
		}
		value = Time(v)
	}
	for i := range b.props {
		if b.props[i].name == name {
			b.props[i].value = value
			return b
		}
	}
	b.props = append(b.props, property{name, value})
	return b
}

// add appends to a list, without doubles.
func (b *Builder) add(name string, values ...string) *Builder {
	var list []string
	for _, p := range b.props {
		if p.name == name {
			list, _ = p.value.([]string)
		}
	}
	for _, v := range values {
		if v != "" && !slices.Contains(list, v) {
			list = append(slices.Clip(list), v)
		}
	}
	return b.Set(name, list)
}

func (b *Builder) fail(format string, args ...any) *Builder {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
	return b
}

// need fails if a value that must be there is empty.
func (b *Builder) need(name, value string) *Builder {
	if value == "" {
		return b.fail("%s is needed", name)
	}
	return b.Set(name, value)
}

// Time is t in the form that the platform hashes: UTC with milliseconds.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Created sets created, and modified unless that is set.
func (b *Builder) Created(t time.Time) *Builder { return b.Set("created", t) }

// Modified sets modified.
func (b *Builder) Modified(t time.Time) *Builder { return b.Set("modified", t) }

// Description sets the description (x_opencti_description of observables).
func (b *Builder) Description(s string) *Builder {
	if !b.dated {
		return b.Set("x_opencti_description", s)
	}
	return b.Set("description", s)
}

// Author sets created_by_ref (x_opencti_created_by_ref of observables).
func (b *Builder) Author(identity stix.Object) *Builder {
	name := "created_by_ref"
	if !b.dated {
		name = "x_opencti_created_by_ref"
	}
	return b.Set(name, identity.ID())
}

// Labels adds labels (x_opencti_labels of observables).
func (b *Builder) Labels(labels ...string) *Builder {
	name := "labels"
	if !b.dated {
		name = "x_opencti_labels"
	}
	return b.add(name, labels...)
}

// Markings adds marking-definitions, as [TLP] makes them.
func (b *Builder) Markings(markings ...stix.Object) *Builder {
	for _, m := range markings {
		b.add("object_marking_refs", m.ID())
	}
	return b
}

// Confidence sets how sure the author is, from 0 to 100. It is not the score.
func (b *Builder) Confidence(percent int) *Builder {
	if percent < 0 || percent > 100 {
		return b.fail("confidence %d is not between 0 and 100", percent)
	}
	return b.Set("confidence", percent)
}

// Score sets OpenCTI's score, how dangerous it is, from 0 to 100.
func (b *Builder) Score(score int) *Builder {
	if score < 0 || score > 100 {
		return b.fail("score %d is not between 0 and 100", score)
	}
	return b.Set("x_opencti_score", score)
}

// Aliases adds other names.
func (b *Builder) Aliases(names ...string) *Builder { return b.add("aliases", names...) }

// External is a reference to another source.
type External struct {
	Source      string `json:"source_name"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"`
	ID          string `json:"external_id,omitempty"`
}

// References adds references to other sources (x_opencti_external_references of
// observables). One that names neither description, URL nor id is left out: it refers to
// nothing.
func (b *Builder) References(refs ...External) *Builder {
	name := "external_references"
	if !b.dated {
		name = "x_opencti_external_references"
	}
	var list []External
	for _, p := range b.props {
		if p.name == name {
			list, _ = p.value.([]External)
		}
	}
	for _, r := range refs {
		if r.Source == "" {
			return b.fail("a reference needs the name of its source")
		}
		if r.Description+r.URL+r.ID != "" && !slices.Contains(list, r) {
			list = append(slices.Clip(list), r)
		}
	}
	if len(list) == 0 {
		return b
	}
	return b.Set(name, list)
}

// Phase is a phase of a kill chain.
type Phase struct {
	Chain string `json:"kill_chain_name"`
	Name  string `json:"phase_name"`
}

// Phases adds kill chain phases.
func (b *Builder) Phases(phases ...Phase) *Builder {
	var list []Phase
	for _, p := range b.props {
		if p.name == "kill_chain_phases" {
			list, _ = p.value.([]Phase)
		}
	}
	for _, p := range phases {
		if p.Chain == "" || p.Name == "" {
			return b.fail("a kill chain phase needs the names of chain and phase")
		}
		if !slices.Contains(list, p) {
			list = append(slices.Clip(list), p)
		}
	}
	if len(list) == 0 {
		return b
	}
	return b.Set("kill_chain_phases", list)
}

// ErrNoDate is a domain object without created.
var ErrNoDate = errors.New("created is needed: the date of the source, not that of now, so that the same input gives the same object")

// Object makes the object. Its id is deterministic.
func (b *Builder) Object() (stix.Object, error) {
	o, err := b.object()
	if err != nil {
		return stix.Object{}, fmt.Errorf("%s: %w", b.typ, err)
	}
	return o, nil
}

func (b *Builder) object() (stix.Object, error) {
	if b.err != nil {
		return stix.Object{}, b.err
	}
	raw := []byte(`{"type":`)
	write := func(value any) {
		encoded, err := json.Marshal(value)
		if err != nil {
			b.fail("%w", err)
			encoded = []byte("null")
		}
		raw = append(raw, encoded...)
	}
	member := func(name string, value any) {
		raw = append(raw, ',')
		write(name)
		raw = append(raw, ':')
		write(value)
	}
	write(b.typ)
	member("spec_version", "2.1")
	member("id", "x--0")
	if b.dated {
		created, modified := b.date("created"), b.date("modified")
		switch {
		case created == "":
			return stix.Object{}, ErrNoDate
		case modified == "":
			modified = created
		case modified < created:
			return stix.Object{}, fmt.Errorf("modified %s is before created %s", modified, created)
		}
		member("created", created)
		member("modified", modified)
	}
	for _, p := range b.props {
		if !b.dated || p.name != "created" && p.name != "modified" {
			member(p.name, p.value)
		}
	}
	if b.err != nil {
		return stix.Object{}, b.err
	}
	o, err := stix.Parse(append(raw, '}'))
	if err != nil {
		return o, err
	}
	id, err := o.DeterministicID()
	if err != nil {
		return stix.Object{}, err
	}
	return o.Set("id", id)
}

func (b *Builder) date(name string) string {
	for _, p := range b.props {
		if p.name == name {
			s, _ := p.value.(string)
			return s
		}
	}
	return ""
}
