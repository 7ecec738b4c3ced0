package stix

import (
	"errors"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// rules are the contributing properties of domain, relationship and meta objects.
var rules = map[string]func(*data){}

func rule(f func(*data), types ...string) {
	for _, typ := range types {
		rules[typ] = f
	}
}

func init() {
	rule(func(d *data) { d.name() },
		"campaign", "channel", "data-component", "data-source", "x-mitre-data-component", "x-mitre-data-source", "event", "feedback",
		"x-opencti-feedback", "infrastructure", "intrusion-set", "language", "malware", "narrative", "tool", "vulnerability")
	rule(func(d *data) { d.name(); d.given("created") },
		"incident", "x-opencti-incident", "case-incident", "x-opencti-case-incident", "case-rfi", "x-opencti-case-rfi",
		"case-rft", "x-opencti-case-rft", "task", "x-opencti-task")
	rule(func(d *data) { d.name(); d.given("published") }, "report")
	rule(func(d *data) {
		d.name()
		d.required("context", lowerStrip)
		if _, ok := d.member("created"); !ok {
			d.fail("no created")
		}
		d.optional("created")
	}, "grouping")
	rule(func(d *data) {
		d.required("content", strip)
		d.optional("created")
		if _, ok := d.some("attribute_abstract"); ok {
			if s := d.string("attribute_abstract", strip); s != "" {
				d.text("attribute_abstract", s)
			}
		}
	}, "note")
	rule(func(d *data) { d.required("opinion", strip); d.optional("created") }, "opinion")
	rule(func(d *data) { d.nameOr("x_mitre_id", "x_opencti_external_id") }, "attack-pattern")
	rule(func(d *data) { d.nameOr("x_mitre_id") }, "course-of-action")
	rule(func(d *data) { d.name(); d.required("identity_class", lower) }, "identity")
	rule(func(d *data) { d.required("pattern", strip) }, "indicator")
	rule((*data).location, "location")
	rule(func(d *data) {
		d.required("result_name", lowerStrip)
		d.given("product")
		d.optional("submitted")
	}, "malware-analysis")
	rule((*data).marking, "marking-definition")
	rule(func(d *data) {
		refs, ok := d.member("object_refs")
		if !ok {
			d.fail("no object_refs")
			return
		}
		d.verbatim("objects", refs)
	}, "observed-data")
	rule((*data).threatActor, "threat-actor")
	rule(func(d *data) {
		d.copy("relationship_type", "source_ref", "target_ref")
		d.period("start_time", "stop_time")
	}, "relationship")
	rule(func(d *data) {
		d.text("type", "sighting")
		d.copy("sighting_of_ref", "where_sighted_refs")
		d.period("first_seen", "last_seen")
	}, "sighting")
	rule(func(d *data) { d.required("covered_ref", lowerStrip) }, "security-coverage")
	rule(func(d *data) {
		d.required("result_of_ref", strip)
		if _, ok := d.some("name"); ok {
			d.required("name", lowerStrip)
		}
		if _, ok := d.some("external_uri"); ok {
			d.required("external_uri", strip)
		}
	}, "security-coverage-result")
	rule(func(d *data) { d.name(); d.copy("category") }, "vocabulary")
	rule(func(d *data) { d.must("value"); d.copy("value") }, "label")
	rule(func(d *data) { d.copy("phase_name", "kill_chain_name") }, "kill-chain-phase")
	rule((*data).externalReference, "external-reference")
}

func (d *data) name() { d.required("name", lowerStrip) }

// must is a member that has to be there and not null.
func (d *data) must(name string) []byte {
	value, ok := d.some(name)
	if !ok {
		d.fail("no %s", name)
		return nil
	}
	return value
}

// string is the text of a string member, shaped.
func (d *data) string(name string, shape func(string) string) string {
	value := d.must(name)
	if value == nil {
		return ""
	}
	if value[0] != '"' {
		d.fail("%s is not a string", name)
		return ""
	}
	s, whole := text(value)
	if !whole {
		d.fail("%s: lone surrogate", name)
		return ""
	}
	return shape(s)
}

// required adds a string member, shaped.
func (d *data) required(name string, shape func(string) string) {
	s := d.string(name, shape)
	d.text(name, s)
}

// given adds a member that has to be there but may be null.
func (d *data) given(name string) {
	value, ok := d.member(name)
	if !ok {
		d.fail("no %s", name)
		return
	}
	d.verbatim(name, value)
}

// optional adds a member as it is, unless it is null or not there.
func (d *data) optional(name string) {
	if value, ok := d.some(name); ok {
		d.verbatim(name, value)
	}
}

// copy adds members that have to be there as they are, null included.
func (d *data) copy(names ...string) {
	for _, name := range names {
		d.given(name)
	}
}

// period adds the end of a period only together with its start.
func (d *data) period(start, stop string) {
	if _, ok := d.some(start); ok {
		d.optional(start)
		d.optional(stop)
	}
}

// nameOr adds the external id, the first of the named members that is not empty, and the
// name only when there is none or when it is blank.
func (d *data) nameOr(ids ...string) {
	for _, member := range ids {
		value, ok := d.some(member)
		if !ok || falsy(value) {
			continue
		}
		if id := d.string(member, lowerStrip); id != "" {
			d.text(ids[0], id)
			return
		}
		break
	}
	if last, ok := d.some(ids[len(ids)-1]); ok && falsy(last) && last[0] != '"' {
		d.fail("%s is not a string", ids[len(ids)-1])
	}
	d.name()
}

// falsy reports what Python takes for no value.
func falsy(raw []byte) bool {
	switch raw[0] {
	case 'n', 'f':
		return true
	case '"', '[', '{':
		return len(raw) == 2
	case 't':
		return false
	}
	number, err := appendCanonicalNumber(nil, raw)
	return err == nil && string(number) == "0"
}

func (d *data) location() {
	kind, ok := d.some("x_opencti_location_type")
	if ok && string(kind) == `"Position"` {
		_, north := d.some("latitude")
		_, east := d.some("longitude")
		if !north && !east {
			d.name()
			return
		}
		d.optional("latitude")
		d.optional("longitude")
		return
	}
	d.name()
	if !ok {
		kind = []byte("null")
	}
	d.verbatim("x_opencti_location_type", kind)
}

func (d *data) marking() {
	d.copy("definition_type", "definition")
	if len(d.list) == 2 && string(d.list[0].value) == `"TLP"` {
		switch string(d.list[1].value) {
		case `"TLP:CLEAR"`, `"TLP:WHITE"`:
			d.fixed = Clear.MarkingID()
		case `"TLP:GREEN"`:
			d.fixed = Green.MarkingID()
		case `"TLP:AMBER"`:
			d.fixed = Amber.MarkingID()
		case `"TLP:AMBER+STRICT"`:
			d.fixed = AmberStrict.MarkingID()
		case `"TLP:RED"`:
			d.fixed = Red.MarkingID()
		}
	}
}

func (d *data) threatActor() {
	d.name()
	kind, ok := d.member("x_opencti_type")
	null := false // in an extension: counts as nothing
	for _, extension := range []string{OpenCTIExtension, OpenCTISCOExtension} {
		if !ok {
			kind, ok = lookup(d.raw, "extensions", extension, "type")
			null = ok && kind[0] == 'n'
		}
	}
	if !ok || null {
		kind = []byte(`"Threat-Actor-Group"`)
	}
	d.verbatim("opencti_type", kind)
}

func (d *data) externalReference() {
	if url, ok := d.some("url"); ok {
		d.verbatim("url", url)
		return
	}
	d.must("source_name")
	d.must("external_id")
	d.copy("source_name", "external_id")
}

// lower is full Unicode lower-casing, which knows final sigma and the dotted capital I;
// strings.ToLower does not.
func lower(s string) string {
	ascii := true
	upper := false
	for i := range len(s) {
		c := s[i]
		ascii = ascii && c < utf8.RuneSelf
		upper = upper || c >= 'A' && c <= 'Z'
	}
	switch {
	case !ascii:
		return cases.Lower(language.Und).String(s) // a Caser has state: one per call
	case !upper:
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// strip removes what Python takes for white space at both ends, U+001C–001F included.
func strip(s string) string {
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if !blank(r) {
			break
		}
		s = s[n:]
	}
	for s != "" {
		r, n := utf8.DecodeLastRuneInString(s)
		if !blank(r) {
			break
		}
		s = s[:len(s)-n]
	}
	return s
}

func lowerStrip(s string) string { return strip(lower(s)) }

func blank(r rune) bool {
	switch {
	case r <= ' ':
		return r >= '\t' && r <= '\r' || r >= 0x1c
	case r >= 0x2000 && r <= 0x200a:
		return true
	}
	switch r {
	case 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return false
}

var errNull = errors.New("null is not allowed here")
