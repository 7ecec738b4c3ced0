package stix

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// alias is b as a string without a copy. Only for bytes that nobody changes any more:
// those of an Object.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf is s as bytes without a copy, to be read only.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// text decodes the JSON string raw (with its quotes), which must be valid. whole is false
// when it has a lone surrogate, which has no UTF-8 form and becomes U+FFFD. Without
// escapes the result aliases raw.
func text(raw []byte) (s string, whole bool) {
	in := raw[1 : len(raw)-1]
	for i, c := range in {
		if c == '\\' {
			out, whole := unescape(append(make([]byte, 0, len(in)), in[:i]...), in[i:])
			return alias(out), whole
		}
	}
	return alias(in), true
}

// unescape appends the decoded form of in, the inside of a valid JSON string, to dst.
func unescape(dst, in []byte) ([]byte, bool) {
	whole := true
	for i := 0; i < len(in); {
		c := in[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		i += 2
		switch in[i-1] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(in[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+6 <= len(in) && in[i] == '\\' && in[i+1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(in[i+2:]))
				}
				if pair == utf8.RuneError {
					whole = false
				} else {
					i += 6
				}
				r = pair
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, in[i-1])
		}
	}
	return dst, whole
}

func hex4(b []byte) rune {
	return rune(hexDigit(b[0])<<12 | hexDigit(b[1])<<8 | hexDigit(b[2])<<4 | hexDigit(b[3]))
}
