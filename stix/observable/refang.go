package observable

import (
	"regexp"
	"strings"
)

var (
	defanged = strings.NewReplacer(
		"[.]", ".", "(.)", ".", "{.}", ".", "[.", ".", ".]", ".", `\.`, ".",
		"[dot]", ".", "(dot)", ".", "{dot}", ".", "[DOT]", ".", "(DOT)", ".", "[Dot]", ".", " dot ", ".",
		"[:]", ":", "[/]", "/",
		"[@]", "@", "(@)", "@", "[at]", "@", "(at)", "@", "[AT]", "@", "(AT)", "@", "{at}", "@", " at ", "@", "[www]", "www",
	)
	// What stands behind the host may have brackets of its own: only what nobody else writes.
	defangedPath = strings.NewReplacer("[.]", ".", "{.}", ".", "[dot]", ".", "[DOT]", ".", "[:]", ":", "[/]", "/", "[@]", "@")

	scheme = regexp.MustCompile(`(?i)^(?:(h[tx*_.-]{2}p|f(?:t|x|\*)p|meow)(s?)(?:(?:\[:\]|:|__)?(?://|\\\\)|:/|\[://\]|\[:/\]/))`)
	colons = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)(?:\[:\]//|\[://\]|\[:/\]/)`)
	v6URL  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://([^/@]*@)?\[[0-9A-Fa-f:.]+\]`)
)

// Refang undoes what people do to values so that nobody clicks on them: hxxp, [.], (dot),
// [at] and the like. A value that is not defanged stays as it is.
func Refang(s string) string {
	if m := scheme.FindStringSubmatchIndex(s); m != nil {
		kind := "http"
		if s[0]|0x20 == 'f' {
			kind = "ftp"
		}
		s = kind + strings.ToLower(s[m[4]:m[5]]) + "://" + s[m[1]:]
	} else if m := colons.FindStringSubmatchIndex(s); m != nil {
		s = s[:m[3]] + "://" + s[m[1]:]
	}
	if !strings.ContainsAny(s, `[({\`) && !strings.Contains(s, " ") {
		return s
	}
	if upper := strings.ToUpper(s); strings.HasPrefix(upper, "HK") && strings.Contains(s, `\`) {
		return s // a registry key
	}
	host, path := parts(s)
	path = defangedPath.Replace(path)
	// [2001:db8::1]:443 is an address, not a defanged one.
	if v6URL.MatchString(host) || strings.HasPrefix(host, "[") && !strings.Contains(host, "[.") && !strings.Contains(host, "[:]") && strings.Count(host, ":") > 1 {
		return host + path
	}
	return defanged.Replace(host) + path
}

// parts cuts a value behind what may be its scheme and host.
func parts(s string) (host, path string) {
	start := 0
	if at := strings.Index(s, "://"); at >= 0 {
		start = at + 3
	}
	for i := start; i < len(s); i++ {
		switch s[i] {
		case '/':
			if i > 0 && s[i-1] == '[' && strings.HasPrefix(s[i:], "/]") {
				return s[:i-1], s[i-1:]
			}
			return s[:i], s[i:]
		case '?', '#':
			return s[:i], s[i:]
		}
	}
	return s, ""
}
