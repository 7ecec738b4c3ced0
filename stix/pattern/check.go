package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// Check finds what a parsed pattern must not have all the same: a hash whose value cannot
// be one of its algorithm, and two qualifiers of one kind on one observation.
func (p *Pattern) Check() error {
	var err error
	p.Conditions(func(c *Condition) {
		if algorithm, ok := c.Path.hash(); ok && err == nil {
			if c.Op == In && len(c.Values) == 0 && !validHash(algorithm, "()") {
				err = fmt.Errorf("%s: an empty set has no %s hash", c.Path, algorithm)
				return
			}
			for _, v := range c.Values {
				if !validHash(algorithm, v.Text) {
					err = fmt.Errorf("%s: %q is not a valid %s hash", c.Path, shorten(v.Text), algorithm)
					return
				}
			}
		}
	})
	p.observations(func(o Observation) {
		if err == nil && doubled(o) {
			err = errors.New("two qualifiers of one kind on one observation")
		}
	})
	return err
}

// doubled reports whether two of the qualifiers that directly follow one observation are of
// one kind. Groups in parentheses may have what they like.
func doubled(o Observation) bool {
	var seen [StartStop + 1]bool
	double := false
	for {
		q, ok := o.(*Qualified)
		if !ok {
			_, simple := o.(*Test)
			return simple && double
		}
		if q.Group {
			return false
		}
		double = double || seen[q.Kind]
		seen[q.Kind] = true
		o = q.Of
	}
}

// hash is the algorithm, if the path leads to a hash.
func (p Path) hash() (string, bool) {
	last := p.Steps[len(p.Steps)-1]
	if last.List {
		return "", false
	}
	for _, s := range p.Steps {
		if s.Name == "hashes" {
			return last.Name, true
		}
	}
	return "", false
}

// validHash reports whether value can be a hash of the algorithm; of unknown ones any can.
func validHash(algorithm, value string) bool {
	digits := -1
	switch strings.ReplaceAll(strings.ToUpper(algorithm), "-", "") {
	case "MD5":
		digits = 32
	case "SHA1", "RIPEMD160":
		digits = 40
	case "SHA224", "SHA3224":
		digits = 56
	case "SHA256", "SHA3256":
		digits = 64
	case "SHA384", "SHA3384":
		digits = 96
	case "SHA512", "SHA3512", "WHIRLPOOL":
		digits = 128
	case "MD6":
		switch len(value) {
		case 32, 40, 56, 64, 96, 128:
			digits = len(value)
		default:
			return false
		}
	case "SSDEEP":
		if value == "" || len(value) > 128 {
			return false
		}
		for i := range len(value) {
			if c := value[i]; !letter(c) && (c < '.' || c > ':') && c != '+' || c == '_' {
				return false
			}
		}
		return true
	default:
		return true
	}
	for i := range len(value) {
		if c := value[i] | 0x20; !digit(value[i]) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(value) == digits
}
