package where

import "bytes"

// child returns the value of a member of an object in compact, valid JSON; the last one counts. Names with escapes are not
// found: those that are looked for have none.
func child(b raw, name string) (found raw) {
	if len(b) < 3 || b[0] != '{' {
		return nil
	}
	for i := 1; i < len(b); {
		colon := behindText(b, i)
		end := behind(b, colon+1)
		if string(b[i+1:colon-1]) == name {
			found = b[colon+1 : end : end]
		}
		i = end + 1
	}
	return found
}

// behind returns the position after the value at b[i].
func behind(b raw, i int) int {
	switch b[i] {
	case '"':
		return behindText(b, i)
	case '{', '[':
		for depth := 0; ; i++ {
			switch b[i] {
			case '"':
				i = behindText(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++
	}
	return i
}

func behindText(b raw, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(b[i:], '"')
		slashes := 0
		for slashes < n && b[i+n-1-slashes] == '\\' {
			slashes++
		}
		if i += n; slashes%2 == 0 {
			return i + 1
		}
	}
}

// flat reads a list of texts without escapes and of whole numbers; false for any other.
func flat(b raw) ([]any, bool) {
	out := make([]any, 0, bytes.Count(b, []byte{','})+1)
	if len(b) == 2 {
		return out, true
	}
	for i := 1; i < len(b); {
		end := behind(b, i)
		switch v := b[i:end]; {
		case v[0] == '"' && plain(v[1:len(v)-1]):
			out = append(out, string(v[1:len(v)-1]))
		case v[0] == '"', v[0] == '{', v[0] == '[':
			return nil, false
		default:
			n, ok := smallInt(v)
			if !ok {
				return nil, false
			}
			out = append(out, n)
		}
		i = end + 1
	}
	return out, true
}
