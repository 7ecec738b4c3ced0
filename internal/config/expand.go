package config

import (
	"fmt"
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces ${NAME} and ${NAME:-default}; $$ stands for $, and a $ before anything else for itself. The default
// also counts when the variable is empty, as in a shell. expanded reports whether a variable was looked up.
func expand(text string, lookup func(string) (string, bool)) (out string, expanded bool, err error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i == len(text)-1 {
			b.WriteString(text)
			return b.String(), expanded, nil
		}
		b.WriteString(text[:i])
		rest := text[i+1:]
		switch rest[0] {
		case '$':
			b.WriteByte('$')
			text = rest[1:]
		case '{':
			inner, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return "", true, fmt.Errorf("${ without }; close it, or write $${ for the characters themselves")
			}
			name, def, hasDefault := strings.Cut(inner, ":-")
			if !variableName.MatchString(name) {
				return "", true, fmt.Errorf("${%s} names no variable; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves", name)
			}
			value, set := lookup(name)
			switch {
			case hasDefault && value == "":
				value = def
			case !set:
				return "", true, fmt.Errorf("the variable %s is not set; set it, or write ${%s:-default}", name, name)
			}
			b.WriteString(value)
			expanded = true
			text = after
		default:
			b.WriteByte('$')
			text = rest
		}
	}
}
