package httpx

import (
	"encoding/json"
	"strings"
)

// URLs lists the http and https addresses written anywhere in a configuration section: what Options.Trusted wants.
func URLs(section []byte) []string {
	var v any
	if json.Unmarshal(section, &v) != nil {
		return nil
	}
	var found []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if s := strings.ToLower(v); strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
				found = append(found, v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return found
}
