package observable

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// names maps to lower case and to the ASCII form, and is lenient about underscores and about
// hyphens at the third and fourth place, which registered names have.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false), idna.BidiRule())

// host is a domain name in its usual form: lower case, ASCII, no dot at the end.
func host(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 1000 || strings.ContainsAny(s, " /\\@:?#[]{}()<>|\"'`,;!$&*+=^%~") || strings.ContainsFunc(s, bracket) {
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

// bracket reports whether r is a quote or bracket of any script: it stood around the name.
func bracket(r rune) bool {
	return r >= 0x80 && unicode.In(r, unicode.Pi, unicode.Pf, unicode.Ps, unicode.Pe)
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

// extensions are endings of file names that are no top-level domains.
var extensions = strings.Fields(`7z apk asp aspx bak bat bin bmp cab cfg chm class cmd conf cpl css csv dat db dll dmg doc docm docx elf eml exe
	gif gz hta htm html img ini iso jar jpeg jpg js json jsp lnk log msg msi ocx odt pcap pdf php png ppt pptx ps1 rar reg rtf scr sql svg
	swf sys tar tmp txt vbe vbs war wsf xls xlsm xlsx xml yaml yml`)

// fileName reports whether a name is rather that of a file. What may be either (zip, py, md)
// is a domain.
func fileName(name string) bool {
	return slices.Contains(extensions, name[strings.LastIndexByte(name, '.')+1:])
}

// email reads e-mail addresses; only the domain loses its case.
func email(s string) (Value, bool) {
	if rest, ok := cutFold(s, "mailto:"); ok {
		s, _, _ = strings.Cut(rest, "?")
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at > 64 || strings.ContainsAny(s[:at], " \t\"(),:;<>[]\\/@") {
		return Value{}, false
	}
	v, ok := domain(s[at+1:])
	if !ok || v.Port != 0 || s[at+1] == '.' || s[at+1] == '*' {
		return Value{}, false
	}
	return Value{Type: "email-addr", Value: s[:at+1] + v.Value}, true
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
	authority, path := rest[:end], rest[end:]
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
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Value{}, false
		}
		port = strconv.FormatUint(n, 10)
	}
	if v, isAddress := address(name); isAddress && !v.Network && v.Port == 0 {
		if name = v.Value; v.Type == "ipv6-addr" {
			name = "[" + name + "]"
		}
	} else if name, ok = host(name); !ok {
		return Value{}, false
	}
	kind = strings.ToLower(kind)
	if kind == "file" || port == "" && strings.HasSuffix(authority, ":") && strings.HasPrefix(path, "//") {
		return Value{}, false // a path, or http://http://evil.example/
	}
	if port != "" && !(kind == "http" && port == "80" || kind == "https" && port == "443") {
		name += ":" + port
	}
	text := kind + "://" + login + name + escapePath(path)
	if _, err := url.Parse(text); err != nil {
		return Value{}, false
	}
	return Value{Type: "url", Value: text}, true
}

// escapePath writes what no browser sends as percent escapes; the rest stays as it is.
func escapePath(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c > 0x7e, c == '"', c == '<', c == '>', c == '%' && (i+2 >= len(s) || !isHex(s[i+1:i+3])):
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c), 16)))
		default:
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
	before, path, ok := strings.Cut(s, "/")
	if !ok {
		return Value{}, false
	}
	if _, isAddress := address(before); !isAddress {
		if _, isName := domain(before); !isName {
			return Value{}, false
		}
	} else if strings.Trim(path, "0123456789") == "" {
		return Value{}, false // a range that is none, 10.0.0.0/33
	}
	return bare(s)
}
