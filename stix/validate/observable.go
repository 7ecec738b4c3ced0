package validate

import (
	"strconv"
	"strings"
)

// contributing demands a version 4 UUID where no property contributes to the id.
func contributing(names ...string) func(*checker, object, string) {
	return func(c *checker, o object, at string) {
		for _, name := range names {
			if has(o, name) {
				return
			}
		}
		c.random(o, at, "no property contributes to the id")
	}
}

func (c *checker) random(o object, at, why string) {
	id, _ := o["id"].(string)
	_, uuid, _ := strings.Cut(id, "--")
	if v := uuidVersion(uuid); v != 0 && v != 4 {
		c.in("2.9", func() { c.add(at+"/id", RuleID, "%s: the UUID must be of version 4", why) })
	}
}

func artifact(c *checker, o object, at string) {
	switch {
	case has(o, "payload_bin") && has(o, "url"):
		c.add(at, RuleOneOf, "payload_bin and url exclude each other")
	case !has(o, "payload_bin") && !has(o, "url"):
		c.add(at, RuleOneOf, "one of payload_bin and url is required")
	case has(o, "url") && !has(o, "hashes"):
		c.add(at+"/hashes", RuleRequired, "hashes are required with url")
	}
	if has(o, "decryption_key") && !has(o, "encryption_algorithm") {
		c.add(at+"/decryption_key", RuleOneOf, "decryption_key needs encryption_algorithm")
	}
	contributing("hashes", "payload_bin")(c, o, at)
}

func emailMessage(c *checker, o object, at string) {
	switch o["is_multipart"] {
	case true:
		if has(o, "body") {
			c.add(at+"/body", RuleOneOf, "only where is_multipart is false")
		}
	case false:
		if has(o, "body_multipart") {
			c.add(at+"/body_multipart", RuleOneOf, "only where is_multipart is true")
		}
	}
	if parts, ok := o["body_multipart"]; ok {
		c.parts(parts, at+"/body_multipart", partRule, func(part object, at string) {
			if has(part, "body") == has(part, "body_raw_ref") {
				c.add(at, RuleOneOf, "one of body and body_raw_ref is required, and not both")
			}
		})
	}
	if fields, ok := o["additional_header_fields"]; ok {
		dict, _ := c.dictionary(fields, at+"/additional_header_fields")
		for _, key := range sortedKeys(dict) {
			place := at + "/additional_header_fields/" + escape(key)
			switch v := dict[key].(type) {
			case string:
			case []any:
				for i, line := range v {
					c.text(line, place+"/"+strconv.Itoa(i))
				}
			default:
				c.add(place, RuleType, "neither a string nor a list of strings")
			}
		}
	}
	contributing("from_ref", "subject", "body")(c, o, at)
}

// parts checks a list of objects that follow a table.
func (c *checker) parts(value any, at string, r *rule, more func(object, string)) {
	c.list(value, at, 1, func(value any, at string) {
		part, ok := value.(object)
		if !ok {
			c.add(at, RuleType, "not an object")
			return
		}
		c.in(r.section, func() {
			c.properties(part, at, r)
			if more != nil {
				more(part, at)
			}
		})
	})
}

func networkTraffic(c *checker, o object, at string) {
	if has(o, "end") && o["is_active"] == true {
		c.add(at+"/end", RuleOneOf, "there is no end while is_active is true")
	}
	dict, _ := o["ipfix"].(object)
	for _, key := range sortedKeys(dict) {
		if _, ok := dict[key].(string); !ok {
			c.number(dict[key], at+"/ipfix/"+escape(key), true, -1e300, 1e300)
		}
	}
}

func process(c *checker, o object, at string) {
	c.random(o, at, "nothing identifies a process")
}

func registryKey(c *checker, o object, at string) {
	if values, ok := o["values"].([]any); ok && len(values) > 0 {
		c.parts(values, at+"/values", valueRule, nil)
	}
	if key, ok := o["key"].(string); ok {
		hive, _, _ := strings.Cut(key, `\`)
		switch strings.ToUpper(hive) {
		case "HKLM", "HKCC", "HKCR", "HKCU", "HKU":
			c.add(at+"/key", RuleFormat, "the hive must not be abbreviated")
		}
	}
	contributing("key", "values")(c, o, at)
}

func certificate(c *checker, o object, at string) {
	if dict, ok := o["x509_v3_extensions"].(object); ok {
		c.in(v3Rule.section, func() { c.properties(dict, at+"/x509_v3_extensions", v3Rule) })
	}
	contributing("hashes", "serial_number")(c, o, at)
}

func streams(c *checker, o object, at string) {
	if list, ok := o["alternate_data_streams"]; ok {
		c.parts(list, at+"/alternate_data_streams", streamRule, nil)
	}
}

// texts demands that the values of a dictionary are strings.
func texts(name string) func(*checker, object, string) {
	return func(c *checker, o object, at string) {
		dict, _ := o[name].(object)
		for _, key := range sortedKeys(dict) {
			c.text(dict[key], at+"/"+name+"/"+escape(key))
		}
	}
}

func exif(c *checker, o object, at string) {
	dict, _ := o["exif_tags"].(object)
	for _, key := range sortedKeys(dict) {
		place := at + "/exif_tags/" + escape(key)
		if _, ok := dict[key].(string); !ok {
			c.number(dict[key], place, true, -1e300, 1e300)
		}
	}
}

func portableExecutable(c *checker, o object, at string) {
	if s, ok := o["time_date_stamp"].(string); ok && strings.Contains(s, ".") {
		c.add(at+"/time_date_stamp", RuleFormat, "must be whole seconds")
	}
	if header, ok := o["optional_header"].(object); ok {
		place := at + "/optional_header"
		c.in(headerRule.section, func() {
			c.properties(header, place, headerRule)
			for _, key := range sortedKeys(header) {
				known := false
				for _, p := range headerRule.properties {
					known = known || p.name == key
				}
				if !known {
					c.add(place+"/"+escape(key), RuleName, "%q is no property of it", shorten(key))
				}
			}
		})
	}
	if sections, ok := o["sections"]; ok {
		c.parts(sections, at+"/sections", sectionRule, nil)
	}
}

func startupInfo(c *checker, o object, at string) {
	if dict, ok := o["startup_info"].(object); ok {
		c.properties(dict, at+"/startup_info", startupRule)
	}
}

func requestHeader(c *checker, o object, at string) {
	dict, _ := o["request_header"].(object)
	for _, key := range sortedKeys(dict) {
		place := at + "/request_header/" + escape(key)
		c.list(dict[key], place, 0, func(value any, at string) { c.text(value, at) })
	}
}

func socketOptions(c *checker, o object, at string) {
	dict, _ := o["options"].(object)
	for _, key := range sortedKeys(dict) {
		place := at + "/options/" + escape(key)
		prefix, _, ok := strings.Cut(key, "_")
		switch prefix {
		case "SO", "ICMP", "ICMP6", "IP", "IPV6", "MCAST", "TCP", "IRLMP":
		default:
			ok = false
		}
		if !ok {
			c.add(place, RuleName, "%q is no socket option", shorten(key))
		}
		c.number(dict[key], place, true, -1e300, 1e300)
	}
}
