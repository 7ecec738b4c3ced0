package observable

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// address reads IPv4 and IPv6 addresses, ranges, and addresses with a port.
func address(s string) (Value, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		p = p.Masked()
		v := ofAddress(p.Addr())
		switch {
		case p.IsSingleIP():
			return v, true
		case p.Bits() == 0:
			return Value{}, false // everything: no list may mean that
		}
		v.Value, v.Network = p.String(), true
		return v, true
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && balanced(s) {
		return ofAddress(a), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		v := ofAddress(ap.Addr())
		v.Port = ap.Port()
		return v, true
	}
	// Leading zeros are read as octal by some and as decimal by others: not accepted.
	return Value{}, false
}

func balanced(s string) bool { return strings.HasPrefix(s, "[") == strings.HasSuffix(s, "]") }

func ofAddress(a netip.Addr) Value {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return Value{Type: "ipv4-addr", Value: a.String()}
	}
	return Value{Type: "ipv6-addr", Value: a.String()}
}

// eui64 are eight pairs of digits, which are a hardware address or an IPv6 address.
var eui64 = regexp.MustCompile(`^([0-9A-Fa-f]{2}:){7}[0-9A-Fa-f]{2}$`)

// mac reads MAC addresses with colons, hyphens, dots or nothing between the digits.
func mac(s string) (Value, bool) {
	digits := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(s))
	if len(digits) != 12 || !isHex(digits) {
		return Value{}, false
	}
	switch {
	case len(s) == 17 && (strings.Count(s, ":") == 5 || strings.Count(s, "-") == 5):
	case len(s) == 14 && strings.Count(s, ".") == 2:
	case len(s) == 12 && strings.Trim(s, "0123456789") != "": // twelve decimal digits may be anything
	default:
		return Value{}, false
	}
	var b strings.Builder
	for i := 0; i < 12; i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return Value{Type: "mac-addr", Value: b.String()}, true
}

// asNumber reads AS numbers: AS64500, ASN 64500, AS1.10 (asdot).
func asNumber(s string) (Value, bool) {
	rest, ok := cutFold(s, "asn")
	if !ok {
		if rest, ok = cutFold(s, "as"); !ok {
			return Value{}, false
		}
	}
	rest = strings.TrimLeft(rest, " :-#")
	if high, low, dotted := strings.Cut(rest, "."); dotted {
		h, err := strconv.ParseUint(high, 10, 16)
		l, lerr := strconv.ParseUint(low, 10, 16)
		if err != nil || lerr != nil {
			return Value{}, false
		}
		return Value{Type: "autonomous-system", Value: strconv.FormatUint(h<<16|l, 10)}, true
	}
	n, err := strconv.ParseUint(rest, 10, 32)
	if err != nil {
		return Value{}, false
	}
	return Value{Type: "autonomous-system", Value: strconv.FormatUint(n, 10)}, true
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return s != ""
}
