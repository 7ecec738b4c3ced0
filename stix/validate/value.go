package validate

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// text is value if it is a string.
func (c *checker) text(value any, at string) (string, bool) {
	s, ok := value.(string)
	if !ok {
		c.add(at, RuleType, "not a string")
	}
	return s, ok
}

func (c *checker) boolean(value any, at string) {
	if _, ok := value.(bool); !ok {
		c.add(at, RuleType, "not a boolean")
	}
}

func (c *checker) enum(value any, at string, allowed ...string) {
	if s, ok := c.text(value, at); ok && !slices.Contains(allowed, s) {
		c.add(at, RuleEnum, "%q is none of %s", shorten(s), strings.Join(allowed, ", "))
	}
}

// number checks a number, which may be bounded, and may have to be whole.
func (c *checker) number(value any, at string, whole bool, low, high float64) {
	n, ok := value.(json.Number)
	if !ok {
		if whole {
			c.add(at, RuleType, "not an integer")
		} else {
			c.add(at, RuleType, "not a number")
		}
		return
	}
	f, err := n.Float64()
	if err != nil {
		c.add(at, RuleRange, "%s is too large", shorten(string(n)))
		return
	}
	if whole && !isWhole(string(n), f) {
		c.add(at, RuleType, "%s is not an integer", shorten(string(n)))
		return
	}
	if f < low || f > high {
		c.add(at, RuleRange, "%s is out of range", shorten(string(n)))
	}
}

func isWhole(s string, f float64) bool {
	if f == float64(int64(f)) && f < 1<<53 && f > -(1<<53) {
		return true
	}
	_, ok := new(big.Int).SetString(s, 10)
	return ok || f >= 1<<53 || f <= -(1<<53)
}

// list checks each element of a list.
func (c *checker) list(value any, at string, least int, each func(any, string)) {
	list, ok := value.([]any)
	if !ok {
		c.add(at, RuleType, "not a list")
		return
	}
	if len(list) < least && at != "" {
		// At the top level it is reported with the names.
		if strings.Count(at, "/") > 1 {
			c.add(at, RuleEmpty, "an empty list")
		}
		return
	}
	for i, element := range list {
		each(element, at+"/"+strconv.Itoa(i))
		if len(c.errors) >= c.Max {
			return
		}
	}
}

// dictionary checks a dictionary: never empty, plain keys, no null and no empty list.
func (c *checker) dictionary(value any, at string) (object, bool) {
	o, ok := value.(object)
	if !ok {
		c.add(at, RuleType, "not a dictionary")
		return nil, false
	}
	if len(o) == 0 {
		c.add(at, RuleEmpty, "an empty dictionary")
		return o, false
	}
	for _, key := range sortedKeys(o) {
		place := at + "/" + escape(key)
		if !dictionaryKey(key) {
			c.in("2.3", func() { c.add(place, RuleName, "%q is no dictionary key", shorten(key)) })
		}
		if list, ok := o[key].([]any); o[key] == nil || ok && len(list) == 0 {
			c.in("2.3", func() { c.add(place, RuleEmpty, "null or an empty list") })
		}
	}
	return o, true
}

func dictionaryKey(key string) bool {
	for i := range len(key) {
		c := key[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return len(key) <= 250
}

// typeName reports whether s can be a type.
func typeName(s string) bool {
	if len(s) < 3 || len(s) > 250 || s[0] < 'a' || s[0] > 'z' || strings.Contains(s, "--") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// uuidVersion is the version, 1 to 5, of a UUID of the usual variant; 0 for anything else.
func uuidVersion(s string) int {
	if len(s) != 36 {
		return 0
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return 0
			}
		} else if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return 0
		}
	}
	if v := int(s[14] - '0'); v >= 1 && v <= 5 && strings.IndexByte("89abAB", s[19]) >= 0 {
		return v
	}
	return 0
}

// id checks an identifier; only of these types if any are given, and not of those.
func (c *checker) id(value any, at string, only, not []string) {
	s, ok := c.text(value, at)
	if !ok {
		return
	}
	typ, uuid, found := strings.Cut(s, "--")
	if !found || !typeName(typ) || strings.HasSuffix(typ, "-") || uuidVersion(uuid) == 0 {
		c.in("2.9", func() {
			c.add(at, RuleFormat, "%q is no identifier: type--UUID, of version 1 to 5 and the RFC 4122 variant", shorten(s))
		})
		return
	}
	if only != nil && !slices.Contains(only, typ) {
		c.add(at, RuleReference, "%s must be of type %s", shorten(s), strings.Join(only, " or "))
	}
	if slices.Contains(not, typ) {
		c.add(at, RuleReference, "%s must not be of type %s", shorten(s), typ)
	}
}

// timestamp checks a timestamp and returns it.
func (c *checker) timestamp(value any, at string) (time.Time, bool) {
	s, ok := c.text(value, at)
	if !ok {
		return time.Time{}, false
	}
	t, form, real := parseTime(s)
	switch {
	case !form:
		c.in("2.16", func() {
			c.add(at, RuleFormat, "%q is no timestamp of the form 2026-01-31T12:00:00.000Z", shorten(s))
		})
	case !real:
		c.in("2.16", func() { c.add(at, RuleFormat, "%s is a day or second that does not exist", s) })
	}
	return t, form && real
}

// millis checks a timestamp that needs milliseconds.
func (c *checker) millis(value any, at string) {
	if _, ok := c.timestamp(value, at); ok && len(value.(string)) < len("2026-01-31T12:00:00.000Z") {
		c.add(at, RuleFormat, "%s has no milliseconds", value)
	}
}

// parseTime reads a timestamp; form says whether it looks like one, real whether it exists.
func parseTime(s string) (t time.Time, form, real bool) {
	const shape = "0000-00-00T00:00:00"
	if len(s) < len(shape)+1 || s[len(s)-1] != 'Z' {
		return t, false, false
	}
	for i := range len(shape) {
		if isDigit := s[i] >= '0' && s[i] <= '9'; shape[i] == '0' && !isDigit || shape[i] != '0' && s[i] != shape[i] {
			return t, false, false
		}
	}
	if fraction := s[len(shape) : len(s)-1]; fraction != "" {
		if fraction[0] != '.' || len(fraction) == 1 || strings.Trim(fraction[1:], "0123456789") != "" {
			return t, false, false
		}
	}
	within := func(part, low, high string) bool { return part >= low && part <= high }
	if !within(s[5:7], "01", "12") || !within(s[8:10], "01", "31") || !within(s[11:13], "00", "23") || !within(s[14:16], "00", "59") || !within(s[17:19], "00", "60") {
		return t, false, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, true, err == nil && s[:4] != "0000"
}

// ordered checks that the second of two timestamps is not before the first, or is after it
// when the third says so.
func (c *checker) ordered(o object, at string, pair [3]string) {
	first, _ := o[pair[0]].(string)
	second, _ := o[pair[1]].(string)
	a, _, ok := parseTime(first)
	b, _, also := parseTime(second)
	if !ok || !also {
		return
	}
	switch {
	case pair[2] == "after" && !b.After(a):
		c.add(at+"/"+pair[1], RuleOrder, "%s must be later than %s", pair[1], pair[0])
	case b.Before(a):
		c.add(at+"/"+pair[1], RuleOrder, "%s must not be earlier than %s", pair[1], pair[0])
	}
}

func (c *checker) hex(value any, at string) {
	s, ok := c.text(value, at)
	if ok && (s == "" || len(s)%2 != 0 || strings.Trim(strings.ToLower(s), "0123456789abcdef") != "") {
		c.add(at, RuleFormat, "not an even number of hexadecimal digits")
	}
}

func (c *checker) binary(value any, at string) {
	s, ok := c.text(value, at)
	if !ok {
		return
	}
	body := strings.TrimRight(s, "=")
	good := s != "" && len(s)%4 == 0 && len(s)-len(body) <= 2
	for i := range len(body) {
		b := body[i]
		good = good && (b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || b == '+' || b == '/')
	}
	if !good {
		c.add(at, RuleFormat, "not base64")
	}
}

// languageTag checks a language code of RFC 5646.
func (c *checker) languageTag(value any, at string) {
	if s, ok := c.text(value, at); ok && !languageCode(s) {
		c.add(at, RuleFormat, "%q is no language code", shorten(s))
	}
}

func languageCode(s string) bool {
	if s == "" || len(s) > 40 || strings.ContainsAny(s, "_ ") {
		return false
	}
	_, err := language.Parse(s)
	return err == nil || s == "en-CB" // an old code that some vocabularies have
}

// selectorText reports whether s has the form of a selector.
func selectorText(s string) bool {
	if s == "id" {
		return true
	}
	for i, step := range strings.Split(s, ".") {
		if i > 0 && strings.HasPrefix(step, "[") {
			if digits := strings.TrimSuffix(step[1:], "]"); len(digits) != len(step)-2 || digits == "" || strings.Trim(digits, "0123456789") != "" {
				return false
			}
			continue
		}
		if step == "" || i == 0 && len(step) < 3 || len(step) > 250 {
			return false
		}
		for _, b := range []byte(step) {
			if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' && b != '-' {
				return false
			}
		}
	}
	return true
}
