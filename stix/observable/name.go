package observable

import (
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// names maps to lower case and to the ASCII form, and is lenient about underscores.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.BidiRule())

// host is a domain name in its usual form: lower case, ASCII, no dot at the end.
func host(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 1000 || strings.ContainsAny(s, " /\\@:?#[]{}()<>|\"'`,;!$&*+=^%~") {
		return "", false
	}
	ascii, err := names.ToASCII(s)
	if err != nil || len(ascii) > 253 {
		return "", false
	}
	for part := range strings.SplitSeq(ascii, ".") {
		if !label(part) {
			return "", false
		}
	}
	return ascii, true
}

// label reports whether s can be one part of a name.
func label(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// domain reads domain names, with a port or not.
func domain(s string) (Value, bool) {
	v := Value{Type: "domain-name"}
	if name, port, ok := strings.Cut(s, ":"); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Value{}, false
		}
		s, v.Port = name, uint16(n)
	}
	s = strings.TrimPrefix(s, "*.") // of a certificate or a blocklist
	s = strings.TrimPrefix(s, ".")
	name, ok := host(s)
	last := name[strings.LastIndexByte(name, '.')+1:]
	if !ok || len(last) == len(name) || !topLevel(last) {
		return Value{}, false
	}
	v.Value = name
	return v, true
}

// topLevel reports whether s can be a top-level domain: letters, or an internationalised one.
func topLevel(s string) bool {
	return len(s) >= 2 && (strings.HasPrefix(s, "xn--") || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "")
}

// email reads e-mail addresses; only the domain loses its case.
func email(s string) (Value, bool) {
	s = strings.TrimPrefix(s, "mailto:")
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at > 64 || strings.ContainsAny(s[:at], " \t\"(),:;<>[]\\/@") {
		return Value{}, false
	}
	name, ok := host(s[at+1:])
	if !ok || !strings.Contains(name, ".") {
		return Value{}, false
	}
	return Value{Type: "email-addr", Value: s[:at+1] + name}, true
}

// withScheme reads URLs.
func withScheme(s string) (Value, bool) {
	kind, rest, ok := strings.Cut(s, "://")
	if !ok || rest == "" || kind == "" || strings.Trim(strings.ToLower(kind), "abcdefghijklmnopqrstuvwxyz0123456789+.-") != "" || kind[0]|0x20 < 'a' {
		return Value{}, false
	}
	end := strings.IndexAny(rest, "/?#\\")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], strings.ReplaceAll(rest[end:], " ", "%20")
	// Credentials are part of the trick: http://bank.example@evil.example/. The host counts.
	login := ""
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		login, authority = authority[:at+1], authority[at+1:]
	}
	name, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		name, port = authority[:i], authority[i+1:]
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return Value{}, false
		}
	}
	if v, isAddress := address(name); isAddress && !v.Network && v.Port == 0 {
		if name = v.Value; v.Type == "ipv6-addr" {
			name = "[" + name + "]"
		}
	} else if name, ok = host(name); !ok {
		return Value{}, false
	}
	kind = strings.ToLower(kind)
	if port != "" && !(kind == "http" && port == "80" || kind == "https" && port == "443") {
		name += ":" + port
	}
	text := kind + "://" + login + name + escapePath(path)
	if _, err := url.Parse(text); err != nil {
		return Value{}, false
	}
	return Value{Type: "url", Value: text}, true
}

// escapePath writes what is no ASCII as percent escapes; the rest stays as it is.
func escapePath(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > 0x7e {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c), 16)))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// bare reads a URL without its scheme.
func bare(s string) (Value, bool) {
	v, ok := withScheme("http://" + strings.TrimPrefix(s, "//"))
	v.Assumed = ok
	return v, ok
}

// pathed reads a URL without scheme if it has a path, which tells it from a name.
func pathed(s string) (Value, bool) {
	before, _, ok := strings.Cut(s, "/")
	if !ok {
		return Value{}, false
	}
	if _, isAddress := address(before); !isAddress {
		if _, isName := domain(before); !isName {
			return Value{}, false
		}
	}
	return bare(s)
}
