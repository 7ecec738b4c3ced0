package observable

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Value is a normalised value.
type Value struct {
	Type    string // STIX type: ipv4-addr, domain-name, url, file, autonomous-system, vulnerability …
	Value   string // in its usual form; of a file the hash, of an autonomous system the number
	Hash    string // of a file: the algorithm, as STIX names it
	Network bool   // of an address: it is a range (CIDR)
	Port    uint16 // that stood behind an address or a name; 0 if none did
	Assumed bool   // the URL had no scheme; http is assumed
}

// ErrUnknown is a value whose type cannot be told.
var ErrUnknown = errors.New("cannot tell what this is")

// maxLength is the length that a value may have, in bytes.
const maxLength = 64 << 10

// Detect tells what a value is and brings it into its usual form.
func Detect(s string) (Value, error) {
	s, err := prepare(s)
	if err != nil {
		return Value{}, err
	}
	if eui64.MatchString(s) {
		return Value{}, fmt.Errorf("%q: %w: a hardware address or an IPv6 address", shorten(s), ErrUnknown)
	}
	for _, try := range []func(string) (Value, bool){
		hash, cve, asNumber, registryKey, withScheme, address, email, mac, pathed, domain,
	} {
		if v, ok := try(s); ok {
			if v.Type == "domain-name" && fileName(v.Value) {
				return Value{}, fmt.Errorf("%q: %w: it looks like the name of a file", shorten(s), ErrUnknown)
			}
			return v, nil
		}
	}
	return Value{}, fmt.Errorf("%q: %w", shorten(s), ErrUnknown)
}

// As brings a value of a known type into its usual form. The type is a STIX type, or for
// hashes the algorithm (md5, sha1, sha-256 …); "ip" stands for either kind of address.
func As(typ, s string) (Value, error) {
	s, err := prepare(s)
	if err != nil {
		return Value{}, err
	}
	var v Value
	var ok bool
	switch typ {
	case "ip", "ipv4-addr", "ipv6-addr":
		v, ok = address(s)
		ok = ok && (typ == "ip" || v.Type == typ)
	case "domain-name", "hostname":
		if v, ok = domain(s); ok {
			v.Type = typ
		} else if typ == "hostname" {
			v, ok = Value{Type: typ, Value: strings.ToLower(s)}, label(s)
		}
	case "url":
		if v, ok = withScheme(s); !ok {
			v, ok = bare(s)
		}
	case "email-addr":
		v, ok = email(s)
	case "mac-addr":
		v, ok = mac(s)
	case "autonomous-system":
		if v, ok = asNumber(s); !ok {
			v, ok = asNumber("AS" + s)
		}
	case "vulnerability":
		v, ok = cve(s)
	case "windows-registry-key":
		v, ok = registryKey(s)
	case "file":
		v, ok = hash(s)
	default:
		v, ok = hashAs(typ, s)
	}
	if !ok {
		return Value{}, fmt.Errorf("%q is no %s", shorten(s), typ)
	}
	return v, nil
}

// quotes are what may stand around a value.
var quotes = [...][2]string{{`"`, `"`}, {"'", "'"}, {"<", ">"}, {"`", "`"}, {"“", "”"}, {"„", "“"}, {"‘", "’"}, {"«", "»"}}

// prepare trims what surrounds a value and refangs it.
func prepare(s string) (string, error) {
	if len(s) > maxLength {
		return "", errors.New("the value is too long")
	}
	// Nothing visible may get lost: without its bad byte go\xffogle.example is another name.
	if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
		return "", fmt.Errorf("%w: it is not valid UTF-8", ErrUnknown)
	}
	s = strings.Map(func(r rune) rune {
		switch r {
		case 0x200b, 0x200e, 0x200f, 0x2060, 0xfeff, 0xad:
			return -1 // invisible
		}
		return r
	}, s)
	for {
		s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
		n := len(s)
		for _, q := range quotes {
			if inner, ok := strings.CutPrefix(s, q[0]); ok {
				if inner, ok = strings.CutSuffix(inner, q[1]); ok {
					s = inner
					break
				}
			}
		}
		if len(s) == n {
			break
		}
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("%w: it holds a control character", ErrUnknown)
	}
	s = Refang(s)
	if s == "" {
		return "", fmt.Errorf("%w: it is empty", ErrUnknown)
	}
	return s, nil
}

func shorten(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
