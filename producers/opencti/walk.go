package opencti

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// errNotObject says that an object should stand where something else does.
var errNotObject = errors.New("not an object")

// walk calls each for the members of the object in b, in one pass and without copies: name is the text between the quotes, value is part
// of b. Names, colons and commas are checked; a value is only measured, so that whoever uses it must look whether it is valid.
func walk(b []byte, each func(name, value []byte) error) error {
	i := blank(b, 0)
	if i == len(b) || b[i] != '{' {
		return errNotObject
	}
	i = blank(b, i+1)
	for first := true; i < len(b); first = false {
		if b[i] == '}' && first {
			return end(b, i+1)
		}
		if b[i] != '"' {
			return errSyntax
		}
		from := i + 1
		if i = behind(b, i); i < 0 {
			return errSyntax
		}
		name := b[from : i-1]
		if i = blank(b, i); i == len(b) || b[i] != ':' {
			return errSyntax
		}
		from = blank(b, i+1)
		if i = behind(b, from); i < 0 {
			return errSyntax
		}
		if err := each(name, b[from:i:i]); err != nil {
			return err
		}
		if i = blank(b, i); i == len(b) {
			return errSyntax
		}
		switch b[i] {
		case '}':
			return end(b, i+1)
		case ',':
			i = blank(b, i+1)
		default:
			return errSyntax
		}
	}
	return errSyntax
}

var errSyntax = errors.New("not JSON")

func end(b []byte, i int) error {
	if blank(b, i) != len(b) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// blank is the position of the first byte from i on that is no white space.
func blank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// behind is the position behind the value that begins at i, or -1 where none ends.
func behind(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return behindText(b, i)
	case '{', '[':
		for depth := 0; i < len(b); i++ {
			switch b[i] {
			case '"':
				if i = behindText(b, i) - 1; i < 0 {
					return -1
				}
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	from := i
	for i < len(b) && strings.IndexByte("+-.0123456789Eaeflnrstu", b[i]) >= 0 { // numbers, true, false and null
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func behindText(b []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		slashes := 0
		for slashes < n && b[i+n-1-slashes] == '\\' {
			slashes++
		}
		if i += n + 1; slashes%2 == 0 {
			return i
		}
	}
}

// valid reports whether a value is JSON, as leniently as streams are read: names may repeat, texts may hold what is no UTF-8.
func valid(value []byte) bool {
	return jsontext.Value(value).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// text is the value of a string, empty where it is something else; a copy.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	if in := value[1 : len(value)-1]; bytes.IndexByte(in, '\\') < 0 {
		return string(in)
	}
	plain, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return ""
	}
	return string(plain)
}
