package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	schema "github.com/invopop/jsonschema"
)

// settle gives text out of variables the type that the schema wants, and drops keys without a value.
func (l *loader) settle(n *node, s *schema.Schema, at path) {
	if n == nil || s == nil {
		return
	}
	switch n.shape {
	case list:
		for i, item := range n.items {
			l.settle(item, s.Items, at.item(i))
		}
	case mapping:
		for _, f := range slices.Clone(n.fields) {
			fs := under(s, path{}.key(f.name))
			if f.value.isNull() && fs != nil && fs != schema.TrueSchema && fs != schema.FalseSchema && fs.Type != "" {
				n.drop(f.name)
				if fs.Type != "object" && len(at) > 0 {
					l.report.errorf(f.key, at.key(f.name).String(), "has no value; give one, or remove the key")
					l.broken(at)
				}
				continue
			}
			l.settle(f.value, fs, at.key(f.name))
		}
	default:
		n.value = settled(n, s)
	}
}

func settled(n *node, s *schema.Schema) any {
	switch v := n.value.(type) {
	case string:
		if !n.loose {
			break
		}
		t := strings.TrimSpace(v)
		switch s.Type {
		case "boolean":
			switch strings.ToLower(t) {
			case "true", "yes", "on", "1":
				return true
			case "false", "no", "off", "0":
				return false
			}
		case "integer", "number":
			var number json.Number
			if json.Unmarshal([]byte(cmp.Or(t, "x")), &number) == nil && number != "" {
				return number
			}
		}
	case json.Number:
		if s.Type != "integer" {
			break
		}
		// 3.0 and 1e2 are whole numbers to a schema, but not to the decoder
		if f, err := v.Float64(); err == nil && f == float64(int64(f)) && strings.ContainsAny(v.String(), ".eE") {
			return json.Number(fmt.Sprintf("%d", int64(f)))
		}
	}
	return n.value
}
