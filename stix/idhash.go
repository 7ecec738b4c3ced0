package stix

import (
	"errors"
	"fmt"
	"strings"
)

// algorithm is a hash algorithm that is known: its name in the specification (empty if it
// has none there) and the number of hex digits of a hash.
type algorithm struct {
	name   string
	digits int
}

const (
	ssdeepDigits = -1 // a text of its own form
	tlshDigits   = 70
)

// algorithms by their names in upper case without hyphens.
var algorithms = map[string]algorithm{
	"MD5":       {"MD5", 32},
	"SHA1":      {"SHA-1", 40},
	"SHA256":    {"SHA-256", 64},
	"SHA512":    {"SHA-512", 128},
	"SHA3256":   {"SHA3-256", 64},
	"SHA3512":   {"SHA3-512", 128},
	"SSDEEP":    {"SSDEEP", ssdeepDigits},
	"TLSH":      {"TLSH", tlshDigits},
	"MD6":       {"", 0},
	"RIPEMD160": {"", 40},
	"SHA224":    {"", 56},
	"SHA384":    {"", 96},
	"SHA3224":   {"", 56},
	"SHA3384":   {"", 96},
	"WHIRLPOOL": {"", 128},

	// as the specification writes them
	"SHA-1":    {"SHA-1", 40},
	"SHA-256":  {"SHA-256", 64},
	"SHA-512":  {"SHA-512", 128},
	"SHA3-256": {"SHA3-256", 64},
	"SHA3-512": {"SHA3-512", 128},
}

// knownAlgorithm finds an algorithm under any usual spelling of its name.
func knownAlgorithm(name string) (algorithm, bool) {
	a, ok := algorithms[name]
	if !ok {
		a, ok = algorithms[strings.ReplaceAll(strings.ToUpper(name), "-", "")]
	}
	return a, ok
}

func (a algorithm) valid(hash string) bool {
	switch a.digits {
	case ssdeepDigits:
		if len(hash) < 1 || len(hash) > 128 {
			return false
		}
		for i := range len(hash) {
			c := hash[i]
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '/' || c > ':') && c != '+' && c != '.' {
				return false
			}
		}
		return true
	case 0: // any length
	default:
		if len(hash) != a.digits {
			return false
		}
	}
	for i := range len(hash) {
		if hexDigit(hash[i]) < 0 {
			return false
		}
	}
	return hash != ""
}

type hashValue struct {
	name string
	raw  []byte
}

// cleanHashes renames hashes to the specification's names and checks those that are known.
// With one, only the preferred is kept: MD5, SHA-1, SHA-256, SHA-512, else the first.
func cleanHashes(dst, raw []byte, one bool) ([]byte, error) {
	if raw[0] != '{' || len(raw) == 2 {
		return nil, errors.New("hashes must be a dictionary with members")
	}
	var room [8]hashValue
	list := room[:0]
	set := func(name string, raw []byte) {
		for i := range list {
			if list[i].name == name {
				list[i].raw = raw
				return
			}
		}
		list = append(list, hashValue{name, raw})
	}
	// Of one name twice the last counts, at the first's place, before any renaming.
	for name, value := range members(raw) {
		set(name, value)
	}
	given := list
	var renamed [8]hashValue
	list = renamed[:0]
	for _, h := range given {
		if !dictionaryKey(h.name) {
			return nil, fmt.Errorf("hash name %.40q has other characters than letters, digits, hyphen and underscore", h.name)
		}
		if a, ok := knownAlgorithm(h.name); ok {
			s := ""
			if h.raw[0] == '"' {
				s, _ = text(h.raw)
			}
			if !a.valid(s) {
				return nil, fmt.Errorf("not a valid %s hash", h.name)
			}
			if a.name != "" {
				h.name = a.name
			}
		}
		set(h.name, h.raw)
	}
	if one {
		list = preferred(list)
	}
	var places [8]memberAt
	m := places[:0]
	for _, h := range list {
		m = append(m, memberAt{bytesOf(h.name), h.raw})
	}
	return canonical{last: true, noNull: !one}.members(dst, m)
}

func preferred(list []hashValue) []hashValue {
	for _, name := range [...]string{"MD5", "SHA-1", "SHA-256", "SHA-512"} {
		for i := range list {
			if list[i].name == name {
				return list[i : i+1]
			}
		}
	}
	return list[:1]
}
