package validate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// Error is one violation.
type Error struct {
	Pointer string `json:"pointer"` // RFC 6901, from the object or bundle that was given
	Rule    string `json:"rule"`    // one of the Rule constants
	Section string `json:"section"` // of the STIX 2.1 specification
	Message string `json:"message"`
}

func (e Error) Error() string {
	return fmt.Sprintf("%s: %s (STIX 2.1, section %s)", cmpOr(e.Pointer, "/"), e.Message, e.Section)
}

func cmpOr(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// The rules.
const (
	RuleJSON      = "json"      // not JSON, or too large or too deep
	RuleRequired  = "required"  // a property is missing
	RuleType      = "type"      // a value of the wrong type
	RuleFormat    = "format"    // a text of the wrong form
	RuleRange     = "range"     // a number out of its range
	RuleEnum      = "enum"      // not one of the allowed values
	RuleEmpty     = "empty"     // null, or an empty list or dictionary
	RuleName      = "name"      // a property name that is not allowed
	RuleReserved  = "reserved"  // a reserved name
	RuleReference = "reference" // a reference to the wrong type, or to nothing
	RuleOneOf     = "one-of"    // properties that need or exclude each other
	RuleOrder     = "order"     // timestamps in the wrong order
	RuleSelector  = "selector"  // a selector that selects nothing
	RulePattern   = "pattern"   // a malformed pattern
	RuleID        = "id"        // a UUID of the wrong version, or a fixed id with other content
)

// Validator checks objects. The zero value checks against the specification alone.
type Validator struct {
	// OpenCTI tolerates what OpenCTI writes although the specification forbids it.
	OpenCTI bool
	// Max is the number of errors after which a check ends; 100 when 0.
	Max int
}

// maxSize is the size of what can be checked, in bytes: it is held in memory whole.
const maxSize = 256 << 20

// Object checks an object or bundle against the specification.
func Object(o stix.Object) []Error { return Validator{}.Raw(o.Raw()) }

// Raw checks JSON, which may be anything, against the specification.
func Raw(raw []byte) []Error { return Validator{}.Raw(raw) }

// Object checks an object or bundle.
func (v Validator) Object(o stix.Object) []Error { return v.Raw(o.Raw()) }

// Raw checks JSON, which may be anything. Nil means that it is valid.
func (v Validator) Raw(raw []byte) []Error {
	if v.Max <= 0 {
		v.Max = 100
	}
	value, err := decode(raw)
	if err != nil {
		return []Error{{Rule: RuleJSON, Section: "3", Message: err.Error()}}
	}
	c := &checker{Validator: v}
	c.top(value)
	return c.errors
}

// decode reads JSON into maps, lists, strings, json.Numbers, booleans and nil.
func decode(raw []byte) (any, error) {
	if len(raw) > maxSize {
		return nil, fmt.Errorf("larger than %d bytes", maxSize)
	}
	return stix.Value(raw)
}

// object is a decoded JSON object.
type object = map[string]any

// checker collects the errors of one value.
type checker struct {
	Validator
	errors   []Error
	section  string // of what is being checked
	siblings object // the dictionary of the observed-data that is being checked
}

func (c *checker) add(at, rule, message string, args ...any) {
	if len(c.errors) < c.Max {
		c.errors = append(c.errors, Error{at, rule, c.section, fmt.Sprintf(message, args...)})
	}
}

// in does f with another section.
func (c *checker) in(section string, f func()) {
	old := c.section
	c.section = section
	f()
	c.section = old
}

func (c *checker) top(value any) {
	c.section = "3.2"
	o, ok := value.(object)
	if !ok {
		c.add("", RuleType, "not an object")
		return
	}
	if o["type"] == "bundle" {
		c.bundle(o)
		return
	}
	c.object(o, "", "")
}

func (c *checker) bundle(o object) {
	c.section = "8"
	if id, ok := c.want(o, "", "id"); ok {
		c.id(id, "/id", []string{"bundle"}, nil)
	}
	version, _ := o["spec_version"].(string)
	objects, ok := o["objects"]
	if !ok {
		return
	}
	list, ok := objects.([]any)
	if !ok {
		c.add("/objects", RuleType, "not a list")
		return
	}
	if len(list) == 0 {
		c.add("/objects", RuleEmpty, "an empty list")
	}
	for i, member := range list {
		at := "/objects/" + strconv.Itoa(i)
		c.section = "8"
		m, ok := member.(object)
		switch {
		case !ok:
			c.add(at, RuleType, "not an object")
		case m["type"] == "bundle":
			c.add(at, RuleType, "a bundle within a bundle")
		default:
			c.object(m, at, version)
		}
		if len(c.errors) >= c.Max {
			return
		}
	}
}

// want is a property that has to be there.
func (c *checker) want(o object, at, name string) (any, bool) {
	value, ok := o[name]
	if !ok {
		c.add(at+"/"+name, RuleRequired, "%s is required", name)
	}
	return value, ok
}

// object checks one object that is no bundle.
func (c *checker) object(o object, at, bundleVersion string) {
	typ, ok := c.want(o, at, "type")
	name, isText := typ.(string)
	if ok && !isText {
		c.add(at+"/type", RuleType, "not a string")
	}
	if !isText {
		return
	}
	c.section = "3.2"
	if !typeName(name) || name == "action" {
		c.add(at+"/type", RuleFormat, "%q is no type: 3 to 250 characters of a-z, 0-9 and hyphen, beginning with a letter", shorten(name))
	}
	old := bundleVersion == "2.0" || o["spec_version"] == "2.0" || bundleVersion == "2.1" && o["spec_version"] == nil && o["created"] != nil
	r, known := types[name]
	if !known {
		_, created := o["created"]
		_, modified := o["modified"]
		r = &rule{section: "11.2", class: sco, named: true}
		if created || modified || old {
			r = &rule{section: "11.2", class: sdo, named: true}
		}
	}
	c.common(o, at, name, r, old)
	c.section = r.section
	c.properties(o, at, r)
	if r.extra != nil {
		r.extra(c, o, at)
	}
	c.granular(o, at)
}

// properties checks what a table of properties says.
func (c *checker) properties(o object, at string, r *rule) {
	for _, name := range r.required {
		c.want(o, at, name)
	}
	for _, alternatives := range r.anyOf {
		if !slices.ContainsFunc(alternatives, func(name string) bool { _, ok := o[name]; return ok }) {
			c.add(at, RuleOneOf, "one of %s is required", strings.Join(alternatives, ", "))
		}
	}
	for _, p := range r.properties {
		if value, ok := o[p.name]; ok && (value != nil || !r.named) {
			p.check(c, at+"/"+escape(p.name), value)
		}
	}
	for _, pair := range r.order {
		c.ordered(o, at, pair)
	}
}

// escape writes a name as a step of a pointer. One that no property may have for its length
// is cut: a pointer is made for every place beneath it.
func escape(name string) string {
	if len(name) > 1000 {
		name = strings.ToValidUTF8(name[:1000], "") + "…"
	}
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func shorten(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
