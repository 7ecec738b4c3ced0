package observable

import (
	"regexp"
	"strings"
)

var (
	defanged = strings.NewReplacer(
		"[.]", ".", "(.)", ".", "{.}", ".", "[.", ".", ".]", ".", `\.`, ".",
		"[dot]", ".", "(dot)", ".", "{dot}", ".", "[DOT]", ".", "(DOT)", ".", "[Dot]", ".", " dot ", ".",
		"[:]", ":", "[://]", "://", "[:/", ":/", "[/]", "/",
		"[@]", "@", "(@)", "@", "[at]", "@", "(at)", "@", "[AT]", "@", "(AT)", "@", "{at}", "@", " at ", "@", "[www]", "www",
	)
	scheme = regexp.MustCompile(`(?i)^(h(?:tt|xx|\*\*|--|__|..)p|f(?:t|x|\*)p|meow)(s?)(:|\[:\]|__)?(//|\\\\|/)`)
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
	}
	if !strings.ContainsAny(s, `[({\`) && !strings.Contains(s, " ") || v6URL.MatchString(s) {
		return s
	}
	if upper := strings.ToUpper(s); strings.HasPrefix(upper, "HK") && strings.Contains(s, `\`) {
		return s // a registry key
	}
	// [2001:db8::1]:443 is an address, not a defanged one.
	if strings.HasPrefix(s, "[") && !strings.Contains(s, "[.") && !strings.Contains(s, "[:]") && strings.Count(s, ":") > 1 {
		return s
	}
	return defanged.Replace(s)
}
