package stix

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// kind is how the value of a contributing property is cleaned before it is hashed.
type kind uint8

const (
	kindText kind = iota
	kindRef
	kindInteger
	kindPort
	kindTime
	kindSeconds // a time cut to whole seconds
	kindFloat
	kindBool
	kindHex
	kindTexts
	kindRefs
	kindOneHash // of the hashes, the one that counts
	kindHashes
	kindDictionary
	kindValues // registry values
	kindExtensions
	kindStreams
	kindSections
	kindOptionalHeader
)

type contribution struct {
	name string
	kind kind
}

var value = []contribution{{"value", kindText}}

// observables are the contributing properties of observables; a type with an empty list
// has no deterministic id.
var observables = map[string][]contribution{
	"artifact":             {{"hashes", kindOneHash}, {"payload_bin", kindText}},
	"autonomous-system":    {{"number", kindInteger}},
	"directory":            {{"path", kindText}},
	"domain-name":          value,
	"email-addr":           value,
	"ipv4-addr":            value,
	"ipv6-addr":            value,
	"mac-addr":             value,
	"url":                  value,
	"email-message":        {{"from_ref", kindRef}, {"subject", kindText}, {"body", kindText}},
	"file":                 {{"hashes", kindOneHash}, {"name", kindText}, {"parent_directory_ref", kindRef}, {"extensions", kindExtensions}},
	"mutex":                {{"name", kindText}},
	"network-traffic":      {{"start", kindTime}, {"end", kindTime}, {"src_ref", kindRef}, {"dst_ref", kindRef}, {"src_port", kindPort}, {"dst_port", kindPort}, {"protocols", kindTexts}, {"extensions", kindExtensions}},
	"process":              {},
	"software":             {{"name", kindText}, {"cpe", kindText}, {"swid", kindText}, {"vendor", kindText}, {"version", kindText}},
	"user-account":         {{"account_type", kindText}, {"user_id", kindText}, {"account_login", kindText}},
	"windows-registry-key": {{"key", kindText}, {"values", kindValues}},
	"x509-certificate":     {{"hashes", kindOneHash}, {"serial_number", kindText}},

	// OpenCTI's own
	"hostname":              value,
	"text":                  value,
	"credential":            value,
	"cryptocurrency-wallet": value,
	"phone-number":          value,
	"tracking-number":       value,
	"user-agent":            value,
	"cryptographic-key":     value,
	"ssh-key":               value,
	"ai-prompt":             value,
	"imei":                  value,
	"iccid":                 value,
	"imsi":                  value,
	"payment-card":          {{"card_number", kindText}},
	"bank-account":          {{"iban", kindText}},
	"media-content":         {{"url", kindText}},
	"persona":               {{"persona_name", kindText}, {"persona_type", kindText}},
}

// needed are properties without which an observable has no id although others contribute.
var needed = map[string][]string{
	"bank-account":    {"value"},
	"network-traffic": {"protocols"},
	"payment-card":    {"value"},
	"persona":         {"persona_name", "persona_type"},
	"software":        {"name"},
}

func (d *data) observable(typ string, list []contribution) {
	for _, name := range needed[typ] {
		if raw, ok := d.some(name); !ok || string(raw) == "[]" {
			d.fail("no %s", name)
		}
	}
	for _, c := range list {
		raw, ok := d.some(c.name)
		if !ok || string(raw) == "[]" {
			continue
		}
		d.add(c.name, func(dst []byte) ([]byte, error) { return c.kind.clean(dst, raw) })
	}
}

// clean appends the canonical form of the cleaned value.
func (k kind) clean(dst, raw []byte) ([]byte, error) {
	switch k {
	case kindText:
		return cleanText(dst, raw)
	case kindRef:
		if raw[0] != '"' || !idShape(decoded(raw)) {
			return nil, errors.New("not an id")
		}
		return appendCanonicalText(dst, raw)
	case kindInteger, kindPort:
		return cleanInteger(dst, raw, k == kindPort)
	case kindTime, kindSeconds:
		return cleanTime(dst, raw, k == kindSeconds)
	case kindFloat:
		return cleanFloat(dst, raw)
	case kindBool:
		return cleanBool(dst, raw)
	case kindHex:
		return cleanHex(dst, raw)
	case kindTexts, kindRefs:
		return cleanTexts(dst, raw, k == kindRefs)
	case kindOneHash, kindHashes:
		return cleanHashes(dst, raw, k == kindOneHash)
	case kindDictionary:
		return cleanDictionary(dst, raw)
	case kindExtensions:
		return cleanExtensions(dst, raw)
	}
	return cleanObjects(dst, raw, k)
}

// cleanText accepts numbers and booleans in the place of text, as Python writes them.
func cleanText(dst, raw []byte) ([]byte, error) {
	switch raw[0] {
	case '"':
		return appendCanonicalText(dst, raw)
	case 't':
		return append(dst, `"True"`...), nil
	case 'f':
		return append(dst, `"False"`...), nil
	case '{', '[', 'n':
		return nil, errors.New("not a string")
	}
	if !bytes.ContainsAny(raw, ".eE") {
		if string(raw) == "-0" {
			raw = raw[1:]
		}
		return appendText(dst, raw), nil
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return nil, errors.New("number out of range")
	}
	return appendText(dst, pythonFloat(x)), nil
}

// pythonFloat is repr(x).
func pythonFloat(x float64) string {
	abs := math.Abs(x)
	if x == 0 || abs >= 1e-4 && abs < 1e16 {
		s := strconv.FormatFloat(x, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return strconv.FormatFloat(x, 'e', -1, 64)
}

func cleanInteger(dst, raw []byte, port bool) ([]byte, error) {
	var x float64
	switch raw[0] {
	case 't':
		x = 1
	case 'f':
	case '{', '[', 'n':
		return nil, errors.New("not an integer")
	case '"':
		s, _ := text(raw)
		digits := strip(s)
		plain := strings.TrimLeft(digits, "+-")
		if len(digits)-len(plain) > 1 || plain == "" || strings.Trim(plain, "0123456789") != "" {
			return nil, fmt.Errorf("%.40q is not an integer", s)
		}
		x, _ = strconv.ParseFloat(digits, 64)
	default:
		x, _ = strconv.ParseFloat(string(raw), 64)
		x = math.Trunc(x)
	}
	if math.IsInf(x, 0) {
		return nil, errors.New("number out of range")
	}
	if port && (x < 0 || x > math.MaxUint16) {
		return nil, errors.New("not a port number")
	}
	return appendDouble(dst, x), nil
}

func cleanFloat(dst, raw []byte) ([]byte, error) {
	switch raw[0] {
	case 't':
		return append(dst, '1'), nil
	case 'f':
		return append(dst, '0'), nil
	case '"':
		s, _ := text(raw)
		x, err := strconv.ParseFloat(strip(s), 64)
		if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			return nil, fmt.Errorf("%.40q is not a number", s)
		}
		return appendDouble(dst, x), nil
	case '{', '[', 'n':
		return nil, errors.New("not a number")
	}
	return appendCanonicalNumber(dst, raw)
}

func cleanBool(dst, raw []byte) ([]byte, error) {
	word := string(raw)
	switch raw[0] {
	case '"':
		s, _ := text(raw)
		word = lower(s)
		if word == "t" || word == "1" {
			word = "true"
		} else if word == "f" || word == "0" {
			word = "false"
		}
	case 't', 'f', 'n', '{', '[':
	default:
		if x, err := strconv.ParseFloat(word, 64); err == nil && x == 1 {
			word = "true"
		} else if err == nil && x == 0 {
			word = "false"
		}
	}
	if word != "true" && word != "false" {
		return nil, errors.New("not a boolean")
	}
	return append(dst, word...), nil
}

func cleanHex(dst, raw []byte) ([]byte, error) {
	if raw[0] != '"' || len(raw) < 4 || len(raw)%2 != 0 {
		return nil, errors.New("not hexadecimal")
	}
	for _, c := range raw[1 : len(raw)-1] {
		if hexDigit(c) < 0 {
			return nil, errors.New("not hexadecimal")
		}
	}
	return append(dst, raw...), nil
}

func cleanTexts(dst, raw []byte, refs bool) ([]byte, error) {
	clean := cleanText
	if refs {
		clean = kindRef.clean
	}
	var err error
	switch raw[0] {
	case '"': // one text is a list of one
		if dst, err = clean(append(dst, '['), raw); err != nil {
			return nil, err
		}
		return append(dst, ']'), nil
	case '[':
	default:
		return nil, errors.New("not a list")
	}
	dst = append(dst, '[')
	for n, element := range elements(raw) {
		if n > 0 {
			dst = append(dst, ',')
		}
		if element[0] == 'n' && !refs {
			dst = append(dst, `"None"`...)
		} else if dst, err = clean(dst, element); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// cleanDictionary keeps a dictionary as it is, but for what the specification demands.
func cleanDictionary(dst, raw []byte) ([]byte, error) {
	if raw[0] != '{' || len(raw) == 2 {
		return nil, errors.New("not a dictionary with members")
	}
	for key := range members(raw) {
		if !dictionaryKey(key) {
			return nil, fmt.Errorf("key %.40q has other characters than letters, digits, hyphen and underscore, or is too long", key)
		}
	}
	return canonical{last: true, noNull: true}.append(dst, raw)
}

func dictionaryKey(key string) bool {
	for i := range len(key) {
		c := key[i]
		if c != '-' && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return key != "" && len(key) <= 250
}

// cleanTime rewrites a timestamp in UTC without trailing zeros in its fraction.
func cleanTime(dst, raw []byte, seconds bool) ([]byte, error) {
	if raw[0] != '"' {
		return nil, errors.New("not a timestamp")
	}
	s, _ := text(raw)
	t, ok := parseLooseTime(s)
	if !ok {
		return nil, fmt.Errorf("%.40q is not a timestamp", s)
	}
	layout := "2006-01-02T15:04:05.999999Z"
	if seconds {
		layout = "2006-01-02T15:04:05Z"
	}
	return appendText(dst, t.Format(layout)), nil
}
