package validate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/pattern"
)

func has(o object, names ...string) bool {
	for _, name := range names {
		if _, ok := o[name]; !ok {
			return false
		}
	}
	return true
}

// indicator checks a STIX pattern.
func indicator(c *checker, o object, at string) {
	src, ok := o["pattern"].(string)
	if !ok || o["pattern_type"] != "stix" {
		return
	}
	c.section = "9"
	p, err := pattern.Parse(src)
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		c.add(at+"/pattern", RulePattern, "%v", err)
		return
	}
	p.Conditions(func(cond *pattern.Condition) {
		if typ := cond.Path.Type; !typeName(typ) {
			c.add(at+"/pattern", RulePattern, "%q is no object type", shorten(typ))
		}
		if name := cond.Path.Steps[0].Name; !patternProperty(name) && !(name == "id" || name == "to") {
			c.add(at+"/pattern", RulePattern, "%q is no property name", shorten(name))
		}
	})
}

func patternProperty(name string) bool {
	return len(name) >= 3 && len(name) <= 250 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func location(c *checker, o object, at string) {
	latitude, longitude := has(o, "latitude"), has(o, "longitude")
	if latitude != longitude {
		c.add(at, RuleOneOf, "latitude and longitude need each other")
	}
	if !has(o, "region") && !has(o, "country") && !(latitude && longitude) && !c.OpenCTI {
		c.add(at, RuleOneOf, "one of region, country, or latitude with longitude is required")
	}
	if has(o, "precision") && !(latitude && longitude) {
		c.add(at+"/precision", RuleOneOf, "precision needs latitude and longitude")
	}
}

func malware(c *checker, o object, at string) {
	if o["is_family"] == true && !has(o, "name") {
		c.add(at+"/name", RuleRequired, "the name of a family is required")
	}
}

func observedData(c *checker, o object, at string) {
	objects, ok := o["objects"]
	if ok == has(o, "object_refs") {
		c.add(at, RuleOneOf, "one of objects and object_refs is required, and not both")
	}
	if !ok {
		return
	}
	dict, isDict := objects.(object)
	if !isDict {
		c.add(at+"/objects", RuleType, "not a dictionary")
		return
	}
	if len(dict) == 0 {
		c.add(at+"/objects", RuleEmpty, "an empty dictionary")
	}
	outer := c.siblings
	c.siblings = dict
	for _, key := range sortedKeys(dict) {
		place := at + "/objects/" + escape(key)
		inner, ok := dict[key].(object)
		if !ok {
			c.add(place, RuleType, "not an object")
			continue
		}
		if typ, _ := inner["type"].(string); types[typ] != nil && types[typ].class != sco || typ == "observed-data" {
			c.add(place+"/type", RuleType, "%s is no observable", typ)
			continue
		}
		c.object(inner, place, "")
	}
	c.siblings = outer
	c.section = "4.14"
}

// reference checks a reference from an observable: an identifier, or within the objects of
// an observed-data the key of another one.
func (c *checker) reference(value any, at string, only []string) {
	if len(only) == 1 && only[0] == "" {
		only = nil
	}
	if c.siblings == nil {
		if c.OpenCTI && slices.Contains(only, "domain-name") {
			only = append(slices.Clone(only), "hostname")
		}
		c.id(value, at, only, nil)
		return
	}
	s, ok := c.text(value, at)
	if !ok || only == nil {
		return
	}
	target, ok := c.siblings[s].(object)
	if !ok {
		c.add(at, RuleReference, "%q is not among the objects", shorten(s))
		return
	}
	if typ, ok := target["type"].(string); ok && !slices.Contains(only, typ) {
		c.add(at, RuleReference, "%q must be of type %s", shorten(s), strings.Join(only, " or "))
	}
}

func languageContent(c *checker, o object, at string) {
	contents, _ := o["contents"].(object)
	for _, key := range sortedKeys(contents) {
		place := at + "/contents/" + escape(key)
		if !languageCode(key) {
			c.add(place, RuleFormat, "%q is no language code", shorten(key))
		}
		fields, ok := contents[key].(object)
		if !ok {
			c.add(place, RuleType, "not a dictionary")
			continue
		}
		for _, name := range sortedKeys(fields) {
			if !patternProperty(name) {
				c.add(place+"/"+escape(name), RuleName, "%q is no property name", shorten(name))
			}
		}
	}
}

func extensionDefinition(c *checker, o object, at string) {
	if !has(o, "extension_properties") {
		return
	}
	if list, _ := o["extension_types"].([]any); !slices.Contains(list, any("toplevel-property-extension")) {
		c.add(at+"/extension_properties", RuleOneOf, "only for a toplevel-property-extension")
	}
}

func markingDefinition(c *checker, o object, at string) {
	id, _ := o["id"].(string)
	refs, _ := o["object_marking_refs"].([]any)
	if slices.Contains(refs, any(id)) {
		c.add(at+"/object_marking_refs", RuleReference, "a marking must not mark itself")
	}
	granular, _ := o["granular_markings"].([]any)
	for i, g := range granular {
		if m, ok := g.(object); ok && m["marking_ref"] == id {
			c.add(at+"/granular_markings/"+strconv.Itoa(i)+"/marking_ref", RuleReference, "a marking must not mark itself")
		}
	}
	if !has(o, "extensions") {
		c.want(o, at, "definition_type")
		c.want(o, at, "definition")
	}
	kind, ok := o["definition_type"].(string)
	if !ok {
		return
	}
	definition, given := o["definition"].(object)
	if has(o, "definition") && !given && !c.OpenCTI {
		c.add(at+"/definition", RuleType, "not an object")
	}
	switch kind {
	case "statement":
		if value, ok := c.want(definition, at+"/definition", "statement"); ok {
			c.text(value, at+"/definition/statement")
		}
	case "tlp":
		c.section = "7.2.1.4"
		c.fixedTLP(o, definition, id, at)
	}
}

// fixedTLP checks a TLP 1.0 marking: everything about it is fixed.
func (c *checker) fixedTLP(o, definition object, id, at string) {
	level, ok := stix.MarkingTLP(id)
	names := map[stix.TLP]string{stix.Clear: "white", stix.Green: "green", stix.Amber: "amber", stix.Red: "red"}
	name, fixed := names[level]
	if !ok || !fixed || id != level.MarkingID() {
		if !c.OpenCTI || !ok {
			c.add(at+"/id", RuleID, "%s is not the id of a TLP marking", shorten(id))
		}
		return
	}
	if c.OpenCTI {
		return
	}
	if value := definition["tlp"]; value != nil && value != name {
		c.add(at+"/definition/tlp", RuleID, "must be %q for this id", name)
	}
	for key, want := range map[string]string{"name": "TLP:" + strings.ToUpper(name), "created": "2017-01-20T00:00:00.000Z"} {
		if o[key] != want {
			c.add(at+"/"+key, RuleID, "must be %q for this id", want)
		}
	}
	for _, key := range sortedKeys(o) {
		if !slices.Contains([]string{"type", "spec_version", "id", "name", "created", "definition_type", "definition"}, key) {
			c.add(at+"/"+escape(key), RuleID, "a fixed marking has no %s", shorten(key))
		}
	}
}
