package eventlog

import (
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
)

// parseContext reads a Stix-Context header. Nearly every event of a feed carries a few flat members in the form that we write, and a
// reader of the log meets one a microsecond: those are read here, anything else by the general way.
func parseContext(text string) (bridge.Context, error) {
	if text == "" {
		return bridge.Context{}, nil
	}
	if c, ok := flatContext(text); ok {
		return c, nil
	}
	return bridge.ParseContext([]byte(text))
}

// flatContext reads {"member":value,…} of strings without escapes, natural numbers and booleans, all of them known and none twice, without
// white space; false for anything else.
func flatContext(s string) (c bridge.Context, ok bool) {
	if s, ok = strings.CutPrefix(s, "{"); !ok {
		return c, false
	}
	seen := 0
	for {
		var key string
		if key, s, ok = flatString(s); !ok || s == "" || s[0] != ':' {
			return c, false
		}
		s = s[1:]
		member := 0
		switch key {
		case "reason":
			member, ok = 1, text(&c.Reason, &s)
		case "new_id":
			member, ok = 2, text(&c.NewID, &s)
		case "into":
			member, ok = 4, text(&c.Into, &s)
		case "bundle":
			member, ok = 8, text(&c.Bundle, &s)
		case "position":
			var n uint64
			member, ok = 16, number(&n, &s)
			c.Position = int(n)
		case "backfill":
			member, ok = 32, truth(&c.Backfill, &s)
		case "prev":
			member, ok = 64, number(&c.Prev, &s)
		case "source_event":
			member, ok = 128, text(&c.SourceEvent, &s)
		case "next":
			member, ok = 256, truth(&c.Next, &s)
		default:
			return c, false
		}
		if !ok || seen&member != 0 || s == "" {
			return c, false
		}
		seen |= member
		switch {
		case s == "}":
			return c, true
		case s[0] != ',':
			return c, false
		}
		s = s[1:]
	}
}

// flatString reads a quoted string of printable ASCII without escapes, and returns what follows it.
func flatString(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		switch ch := s[i]; {
		case ch == '"':
			return s[1:i], s[i+1:], true
		case ch < 0x20 || ch > 0x7e || ch == '\\':
			return "", s, false
		}
	}
	return "", s, false
}

func text(into, s *string) (ok bool) {
	*into, *s, ok = flatString(*s)
	return ok
}

// number reads at most 15 digits: more may not fit where they go.
func number(into *uint64, s *string) bool {
	n := 0
	for n < len(*s) && (*s)[n] >= '0' && (*s)[n] <= '9' {
		n++
	}
	if n == 0 || n > 15 || n > 1 && (*s)[0] == '0' {
		return false
	}
	*into, _ = strconv.ParseUint((*s)[:n], 10, 64) // digits, few enough
	*s = (*s)[n:]
	return true
}

func truth(into *bool, s *string) bool {
	if rest, ok := strings.CutPrefix(*s, "true"); ok {
		*into, *s = true, rest
		return true
	}
	rest, ok := strings.CutPrefix(*s, "false")
	*s = rest
	return ok
}
