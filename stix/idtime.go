package stix

import (
	"strings"
	"time"
)

// parseLooseTime reads a timestamp as the STIX library for Python does: one digit will do
// for everything but the year, up to six digits of a second's fraction, Z only.
func parseLooseTime(s string) (time.Time, bool) {
	rest, ok := strings.CutSuffix(s, "Z")
	if !ok {
		return time.Time{}, false
	}
	date, clock, ok := strings.Cut(rest, "T")
	if !ok {
		return time.Time{}, false
	}
	year, date, _ := strings.Cut(date, "-")
	month, day, _ := strings.Cut(date, "-")
	hour, clock, _ := strings.Cut(clock, ":")
	minute, clock, _ := strings.Cut(clock, ":")
	second, fraction, dotted := strings.Cut(clock, ".")
	if len(year) != 4 || dotted && (fraction == "" || len(fraction) > 6) {
		return time.Time{}, false
	}
	var n [6]int
	for i, part := range [...]string{year, month, day, hour, minute, second} {
		if part == "" || i > 0 && len(part) > 2 || !number(part, &n[i]) {
			return time.Time{}, false
		}
	}
	micro := 0
	if dotted && !number((fraction + "00000")[:6], &micro) {
		return time.Time{}, false
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], micro*1000, time.UTC)
	ok = n[0] > 0 && t.Month() == time.Month(n[1]) && t.Day() == n[2] && n[3] < 24 && n[4] < 60 && n[5] < 60
	return t, ok
}

func number(digits string, into *int) bool {
	for i := range len(digits) {
		c := digits[i] - '0'
		if c > 9 {
			return false
		}
		*into = *into*10 + int(c)
	}
	return true
}
