package pattern

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type kind uint8

const (
	end     kind = iota
	word         // an identifier without hyphens
	hyphens      // an identifier with hyphens
	keyword
	text // 'string'
	integer
	float
	boolean
	binary    // b'base64'
	hexes     // h'hex'
	timestamp // t'time'
	symbol
)

type token struct {
	kind kind
	text string // as written
	at   int    // byte offset
}

// SyntaxError is a pattern that is not one, with the place of the first error.
type SyntaxError struct {
	Offset int // in bytes
	Line   int // from 1
	Column int // in characters, from 1
	Msg    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg) }

func syntaxError(src string, at int, msg string) *SyntaxError {
	before := src[:at]
	line := strings.Count(before, "\n") + 1
	return &SyntaxError{Offset: at, Line: line, Column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1, Msg: msg}
}

var keywords = map[string]bool{
	"AND": true, "OR": true, "NOT": true, "FOLLOWEDBY": true, "LIKE": true, "MATCHES": true, "ISSUPERSET": true, "ISSUBSET": true,
	"EXISTS": true, "LAST": true, "IN": true, "START": true, "STOP": true, "SECONDS": true, "WITHIN": true, "REPEATS": true, "TIMES": true,
}

// lexer splits a pattern into tokens, one at a time.
type lexer struct {
	src string
	pos int
}

func (l *lexer) next() (token, error) {
	l.blank()
	t := token{at: l.pos}
	if l.pos >= len(l.src) {
		return t, nil
	}
	rest := l.src[l.pos:]
	n := 0
	switch c := rest[0]; {
	case c == '\'':
		if n = quoted(rest); n == 0 {
			return t, syntaxError(l.src, l.pos, "the string has no end, or a backslash before something else than ' or \\")
		}
		t.kind = text
	case letter(c):
		if n = literal(rest); n > 0 {
			t.kind = map[byte]kind{'b': binary, 'h': hexes, 't': timestamp}[c]
			break
		}
		t.kind = word
		for n < len(rest) && (letter(rest[n]) || digit(rest[n]) || rest[n] == '-') {
			if rest[n] == '-' {
				t.kind = hyphens
			}
			n++
		}
		if keywords[rest[:n]] {
			t.kind = keyword
		} else if rest[:n] == "true" || rest[:n] == "false" {
			t.kind = boolean
		}
	default:
		if n, t.kind = number(rest); n > 0 {
			break
		}
		t.kind = symbol
		for _, s := range [...]string{"==", "!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ",", ":", ".", "*"} {
			if strings.HasPrefix(rest, s) {
				n = len(s)
				break
			}
		}
		if n == 0 {
			r, _ := utf8.DecodeRuneInString(rest)
			return t, syntaxError(l.src, l.pos, fmt.Sprintf("unexpected character %q", r))
		}
	}
	t.text = rest[:n]
	l.pos += n
	return t, nil
}

// blank moves over white space and comments.
func (l *lexer) blank() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return
			}
			l.pos += n + 4
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexAny(rest, "\r\n")
			if n < 0 {
				n = len(rest)
			}
			l.pos += n
		default:
			r, n := utf8.DecodeRuneInString(rest)
			if !space(r) {
				return
			}
			l.pos += n
		}
	}
}

func space(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

// quoted is the length of the string at the start of s, 0 if there is none.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\'':
			return i + 1
		case '\\':
			if i++; i >= len(s) || s[i] != '\'' && s[i] != '\\' {
				return 0
			}
		}
	}
	return 0
}

// number is the length of the number at the start of s.
func number(s string) (int, kind) {
	i := 0
	if s[0] == '+' || s[0] == '-' {
		i++
	}
	start := i
	for i < len(s) && digit(s[i]) {
		i++
	}
	whole := i
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && digit(s[i]); i++ {
		}
		if i > whole+1 {
			return i, float
		}
	}
	switch {
	case whole == start:
		return 0, 0
	case s[start] == '0':
		return start + 1, integer // a further digit is a token of its own, and so an error
	}
	return whole, integer
}

// literal is the length of the binary, hex or timestamp literal at the start of s.
func literal(s string) int {
	if len(s) < 3 || s[1] != '\'' {
		return 0
	}
	n := strings.IndexByte(s[2:], '\'')
	if n < 0 {
		return 0
	}
	in := s[2 : 2+n]
	ok := false
	switch s[0] {
	case 'b':
		body := strings.TrimRight(in, "=")
		ok = in != "" && len(in)%4 == 0 && len(in)-len(body) <= 2
		for i := range len(body) {
			c := body[i]
			ok = ok && (letter(c) && c != '_' || digit(c) || c == '+' || c == '/')
		}
	case 'h':
		ok = len(in)%2 == 0
		for i := range len(in) {
			ok = ok && (digit(in[i]) || in[i]|0x20 >= 'a' && in[i]|0x20 <= 'f')
		}
	case 't':
		ok = timeText(in)
	}
	if !ok {
		return 0
	}
	return n + 3
}

// timeText reports whether s has the form of a timestamp. The grammar does not count days.
func timeText(s string) bool {
	const form = "0000-00-00T00:00:00"
	if len(s) < len(form)+1 || s[len(s)-1] != 'Z' {
		return false
	}
	for i := range len(form) {
		if form[i] == '0' && !digit(s[i]) || form[i] != '0' && form[i] != s[i] {
			return false
		}
	}
	if fraction := s[len(form) : len(s)-1]; fraction != "" {
		if fraction[0] != '.' || len(fraction) == 1 || strings.Trim(fraction[1:], "0123456789") != "" {
			return false
		}
	}
	within := func(part, low, high string) bool { return part >= low && part <= high }
	return within(s[5:7], "01", "12") && within(s[8:10], "01", "31") && within(s[11:13], "00", "23") &&
		within(s[14:16], "00", "59") && within(s[17:19], "00", "60")
}
