package validate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rule is what the specification says about one type.
type rule struct {
	section    string
	class      class
	named      bool // the names of its properties are checked, and null with them
	properties []property
	required   []string
	anyOf      [][]string  // of each group one property must be there
	order      [][3]string // timestamps: first, second, "after" if equal is not enough
	extra      func(c *checker, o object, at string)
}

type property struct {
	name  string
	check func(c *checker, at string, value any)
}

// table reads a list of properties: "name kind; name! kind", where ! marks those required.
//
// Kinds: string, bool, int and num (with bounds as int(0..65535), int(0..)), time, id (with
// types as id(file|directory), or id(!relationship|sighting)), enum(a|b), hashes, dict, hex,
// bin, url, ip4, ip6, mac, mime, cpe, charset, lang, domain, email, any, and [kind] for lists
// of at least one, [kind]? for lists that may be empty.
func table(section string, class class, text string) *rule {
	r := &rule{section: section, class: class}
	for entry := range strings.SplitSeq(text, ";") {
		name, kind, ok := strings.Cut(strings.TrimSpace(entry), " ")
		if !ok {
			continue
		}
		if bare, required := strings.CutSuffix(name, "!"); required {
			name = bare
			r.required = append(r.required, name)
		}
		r.properties = append(r.properties, property{name, kindOf(strings.TrimSpace(kind))})
	}
	return r
}

func (r *rule) any(names ...string) *rule {
	r.anyOf = append(r.anyOf, names)
	return r
}

func (r *rule) inOrder(first, second, how string) *rule {
	r.order = append(r.order, [3]string{first, second, how})
	return r
}

func (r *rule) also(f func(c *checker, o object, at string)) *rule {
	r.extra = f
	return r
}

func kindOf(kind string) func(*checker, string, any) {
	if inner, ok := strings.CutPrefix(kind, "["); ok {
		least := 1
		if inner, ok = strings.CutSuffix(inner, "?"); ok {
			least = 0
		}
		each := kindOf(strings.TrimSuffix(inner, "]"))
		return func(c *checker, at string, value any) {
			c.list(value, at, least, func(value any, at string) { each(c, at, value) })
		}
	}
	name, args, _ := strings.Cut(strings.TrimSuffix(kind, ")"), "(")
	if strings.HasPrefix(kind, "enum(") {
		allowed := strings.Split(args, "|")
		return func(c *checker, at string, value any) { c.enum(value, at, allowed...) }
	}
	switch name {
	case "int", "num":
		low, high := bounds(args)
		return func(c *checker, at string, value any) { c.number(value, at, name == "int", low, high) }
	case "id":
		var only, not []string
		if list, ok := strings.CutPrefix(args, "!"); ok {
			not = strings.Split(list, "|")
		} else if args != "" {
			only = strings.Split(args, "|")
		}
		return func(c *checker, at string, value any) { c.id(value, at, only, not) }
	case "ref": // of an observable: a key where the object stands in a dictionary
		only := strings.Split(args, "|")
		return func(c *checker, at string, value any) { c.reference(value, at, only) }
	}
	check, ok := kinds[name]
	if !ok {
		panic(fmt.Sprintf("validate: unknown kind %q", kind)) // a mistake in the tables below
	}
	return check
}

func bounds(args string) (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	if args == "" {
		return low, high
	}
	from, to, _ := strings.Cut(args, "..")
	if f, err := strconv.ParseFloat(from, 64); err == nil {
		low = f
	}
	if f, err := strconv.ParseFloat(to, 64); err == nil {
		high = f
	}
	return low, high
}

var kinds = map[string]func(*checker, string, any){
	"any":      func(*checker, string, any) {},
	"string":   func(c *checker, at string, v any) { c.text(v, at) },
	"bool":     func(c *checker, at string, v any) { c.boolean(v, at) },
	"time":     func(c *checker, at string, v any) { c.timestamp(v, at) },
	"hashes":   func(c *checker, at string, v any) { c.hashes(v, at) },
	"dict":     func(c *checker, at string, v any) { c.dictionary(v, at) },
	"hex":      func(c *checker, at string, v any) { c.hex(v, at) },
	"bin":      func(c *checker, at string, v any) { c.binary(v, at) },
	"url":      func(c *checker, at string, v any) { c.url(v, at) },
	"ip4":      func(c *checker, at string, v any) { c.ip(v, at, true) },
	"ip6":      func(c *checker, at string, v any) { c.ip(v, at, false) },
	"mac":      func(c *checker, at string, v any) { c.matches(v, at, mac, "MAC address in lower case with colons") },
	"mime":     func(c *checker, at string, v any) { c.matches(v, at, mime, "media type") },
	"cpe":      func(c *checker, at string, v any) { c.matches(v, at, cpe, "CPE 2.3 name") },
	"charset":  func(c *checker, at string, v any) { c.charset(v, at) },
	"lang":     func(c *checker, at string, v any) { c.languageTag(v, at) },
	"domain":   func(c *checker, at string, v any) { c.domain(v, at) },
	"chain":    func(c *checker, at string, v any) { c.killChainPhase(v, at) },
	"external": func(c *checker, at string, v any) { c.externalReference(v, at) },
	"granular": func(c *checker, at string, v any) { c.granularMarking(v, at) },
	"email": func(c *checker, at string, v any) {
		if s, ok := c.text(v, at); ok && !strings.Contains(s, "@") {
			c.add(at, RuleFormat, "%q is no e-mail address", shorten(s))
		}
	},
	"verb": func(c *checker, at string, v any) {
		if s, ok := c.text(v, at); ok && (s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "") {
			c.add(at, RuleFormat, "%q has other characters than a-z, 0-9 and hyphen", shorten(s))
		}
	},
}
