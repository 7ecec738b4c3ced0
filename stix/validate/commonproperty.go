package validate

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// class is the kind of object, which decides about common properties.
type class uint8

const (
	sdo     class = iota // also relationships and language-content
	sco                  // observables
	marking              // marking-definition
)

// reserved are names that no property may have.
var reserved = []string{"severity", "action", "username", "phone_numbers"}

// common checks the properties that all objects of a class have.
func (c *checker) common(o object, at, typ string, r *rule, old bool) {
	c.section = "3.2"
	prefix := []string{typ}
	if types[typ] == nil {
		prefix = nil // the platform uses short prefixes for some types
	}
	if id, ok := c.want(o, at, "id"); ok {
		c.id(id, at+"/id", prefix, nil)
	}
	if version, ok := o["spec_version"]; ok {
		c.enum(version, at+"/spec_version", "2.1", "2.0")
	} else if r.class != sco && !old {
		c.want(o, at, "spec_version")
	}
	switch r.class {
	case sdo:
		for _, name := range []string{"created", "modified"} {
			if value, ok := c.want(o, at, name); ok {
				c.millis(value, at+"/"+name)
			}
		}
		c.ordered(o, at, [3]string{"created", "modified"})
		c.optional(o, at, sdoProperties)
	case sco:
		c.optional(o, at, scoProperties)
		for _, name := range []string{"created", "modified"} {
			if value, ok := o[name]; ok && value != nil {
				c.text(value, at+"/"+name)
			}
		}
	case marking:
		c.want(o, at, "created")
		c.optional(o, at, markingProperties)
		for _, p := range markingProperties {
			if list, ok := o[p.name].([]any); ok && len(list) == 0 {
				c.add(at+"/"+p.name, RuleEmpty, "an empty list")
			}
		}
	}
	if value, ok := o["lang"]; ok && value != nil && r.class != sdo {
		c.languageTag(value, at+"/lang")
	}
	if r.class != marking {
		c.names(o, at)
		for _, name := range reserved {
			if _, ok := o[name]; ok && !c.OpenCTI {
				c.in("3.8", func() { c.add(at+"/"+name, RuleReserved, "%s is a reserved name", name) })
			}
		}
	}
	if value, ok := o["extensions"]; ok {
		c.in("7.3", func() { c.extensions(value, at+"/extensions", typ, r.class) })
	}
}

// optional checks properties that may be missing.
func (c *checker) optional(o object, at string, list []property) {
	for _, p := range list {
		if value, ok := o[p.name]; ok && value != nil {
			p.check(c, at+"/"+p.name, value)
		}
	}
}

// names checks property names, and what no property may be.
func (c *checker) names(o object, at string) {
	for _, name := range sortedKeys(o) {
		value, place := o[name], at+"/"+escape(name)
		if !propertyName(name) {
			c.in("3.1", func() {
				c.add(place, RuleName, "%q is no property name: a-z, 0-9 and _, at least three characters, beginning with a letter", shorten(name))
			})
		}
		switch list, ok := value.([]any); {
		case value == nil:
			c.in("3.1", func() { c.add(place, RuleEmpty, "null") })
		case ok && len(list) == 0:
			c.in("2.12", func() { c.add(place, RuleEmpty, "an empty list") })
		}
		if propertyName(name) && value != nil {
			switch {
			case strings.HasSuffix(name, "_bin"):
				c.in("2.1", func() { c.binary(value, place) })
			case strings.HasSuffix(name, "_hex"):
				c.in("2.8", func() { c.hex(value, place) })
			}
		}
	}
}

// propertyName is lenient about the end of a name, as the schemas are.
func propertyName(name string) bool {
	if strings.HasSuffix(name, "id") {
		return true
	}
	if len(name) < 3 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name[1:3]) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func sortedKeys(o object) []string {
	keys := make([]string, 0, len(o))
	for key := range o {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

var extensionName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*-ext$`)

var extensionTypes = []string{"new-sdo", "new-sco", "new-sro", "property-extension", "toplevel-property-extension"}

// extensions checks the dictionary of extensions, and the content of those that the
// specification defines.
func (c *checker) extensions(value any, at, typ string, class class) {
	dict, ok := c.dictionary(value, at)
	if !ok {
		return
	}
	for _, key := range sortedKeys(dict) {
		place := at + "/" + escape(key)
		extension, isObject := dict[key].(object)
		id, defined := strings.CutPrefix(key, "extension-definition--")
		named := extensionName.MatchString(key)
		switch {
		case defined && uuidVersion(id) == 0, !defined && (!named || class == marking):
			c.add(place, RuleName, "%q is no name of an extension", shorten(key))
			continue
		case !isObject:
			c.add(place, RuleType, "not an object")
			continue
		case len(extension) == 0:
			c.add(place, RuleEmpty, "an empty extension")
			continue
		}
		c.names(extension, place)
		if defined {
			if kind, ok := c.want(extension, place, "extension_type"); ok {
				c.enum(kind, place+"/extension_type", extensionTypes...)
			}
			continue
		}
		if r, ok := extensionRules[typ][key]; ok {
			c.in(r.section, func() {
				c.properties(extension, place, r)
				if r.extra != nil {
					r.extra(c, extension, place)
				}
			})
		}
	}
}

// granular checks that the selectors of granular markings select something.
func (c *checker) granular(o object, at string) {
	list, _ := o["granular_markings"].([]any)
	c.section = "7.2.3"
	for i, element := range list {
		place := at + "/granular_markings/" + strconv.Itoa(i)
		m, ok := element.(object)
		if !ok {
			continue
		}
		selectors, _ := m["selectors"].([]any)
		for n, s := range selectors {
			if text, ok := s.(string); ok && selectorText(text) && !selects(o, text) {
				c.add(place+"/selectors/"+strconv.Itoa(n), RuleSelector, "%q selects nothing", shorten(text))
			}
		}
	}
}

// selects reports whether a selector leads to something.
func selects(value any, selector string) bool {
	for _, step := range strings.Split(selector, ".") {
		switch v := value.(type) {
		case object:
			next, ok := v[step]
			if !ok {
				return false
			}
			value = next
		case []any:
			n, err := strconv.Atoi(strings.Trim(step, "[]"))
			if err != nil || step[0] != '[' || n < 0 || n >= len(v) {
				return false
			}
			value = v[n]
		default:
			return false
		}
	}
	return true
}
