package stix

import "encoding/json"

// Value decodes one JSON value into maps, lists, strings, json.Numbers, booleans and nil, as
// encoding/json does, but faster, and with the checks of [Parse] (depth, UTF-8). The result
// may alias raw: do not modify it afterwards.
func Value(raw []byte) (any, error) {
	value, err := compact(raw)
	if err != nil {
		return nil, err
	}
	return tree(value), nil
}

// tree decodes a valid, compact value.
func tree(raw []byte) any {
	switch raw[0] {
	case '"':
		s, _ := text(raw)
		return s
	case '{':
		m := make(map[string]any, 8)
		for i := 1; i < len(raw)-1; {
			colon := behindText(raw, i)
			end := behind(raw, colon+1)
			key, _ := text(raw[i:colon])
			m[key] = tree(raw[colon+1 : end])
			i = end + 1
		}
		return m
	case '[':
		list := []any{}
		for i := 1; i < len(raw)-1; {
			end := behind(raw, i)
			list = append(list, tree(raw[i:end]))
			i = end + 1
		}
		return list
	case 't':
		return true
	case 'f':
		return false
	case 'n':
		return nil
	}
	return json.Number(alias(raw))
}
