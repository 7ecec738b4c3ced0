package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	schema "github.com/invopop/jsonschema"
)

// describe quotes what the manual says about a missing key.
func describe(s *schema.Schema, key string) string {
	if v := under(s, path{}.key(key)); v != nil && v.Description != "" {
		first, _, _ := strings.Cut(v.Description, ". ")
		return " (" + strings.TrimSuffix(first, ".") + ")"
	}
	return ""
}

// got names what is there, unless it must not be shown.
func got(n *node, s *schema.Schema) string {
	switch n.shape {
	case mapping:
		return "a mapping"
	case list:
		return "a list"
	}
	if n.loose || isSecret(s) {
		return "the value"
	}
	switch v := n.value.(type) {
	case nil:
		return "an empty value"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return "the number " + v.String()
	case string:
		return quoted(v)
	}
	return "the value"
}

// quoted shows text: short, and without what may stand before the @ of an address.
func quoted(s string) string {
	if strings.Contains(s, "@") {
		return "the value"
	}
	if r := []rune(s); len(r) > 48 {
		s = string(r[:47]) + "…"
	}
	return strconv.Quote(s)
}

// spelled says in words what a pattern wants.
var spelled = map[string]string{
	`^[a-z0-9][a-z0-9-]*$`: "lower-case letters, digits and -, beginning with a letter or digit",
	`^[0-9]{1,3}%$`:        "a share such as 10%",
}

// want names what the schema allows.
func want(s *schema.Schema) string {
	if s == nil {
		return ""
	}
	for _, alternatives := range [][]*schema.Schema{s.OneOf, s.AnyOf} {
		var words []string
		for _, a := range alternatives {
			if w := want(a); w != "" {
				words = append(words, w)
			}
		}
		if len(words) > 0 {
			return strings.Join(words, ", or ")
		}
	}
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		return oneOf(words)
	}
	switch s.Format {
	case "duration":
		return "a duration such as 30s, 5m, 24h, 7d or PT10M"
	case "size":
		return "a size such as 512KiB, 64MiB or 10GB"
	case "uri":
		return "an absolute address such as https://host.example"
	case "secret":
		return "text"
	}
	switch s.Type {
	case "boolean":
		return "true or false"
	case "integer":
		return "a whole number" + bounds(s)
	case "number":
		return "a number" + bounds(s)
	case "array":
		if item := want(s.Items); item != "" && item != "text" {
			return "a list, each " + item
		}
		return "a list such as [a, b]"
	case "object":
		return "a mapping of keys and values"
	case "string":
		switch {
		case spelled[s.Pattern] != "":
			return spelled[s.Pattern]
		case s.Pattern != "":
			return "text that matches " + s.Pattern
		case s.Format != "":
			return "text of the form " + s.Format
		}
		return "text"
	}
	return ""
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func bounds(s *schema.Schema) string {
	switch {
	case s.Minimum != "" && s.Maximum != "":
		return " from " + s.Minimum.String() + " to " + s.Maximum.String()
	case s.Minimum != "":
		return " of at least " + s.Minimum.String()
	case s.Maximum != "":
		return " of at most " + s.Maximum.String()
	}
	return ""
}

// hint helps with the mistakes that YAML invites.
func hint(n *node, s *schema.Schema) string {
	if n.shape != scalar {
		return ""
	}
	text, isText := n.value.(string)
	switch {
	case s.Type == "string" && s.Format == "" && len(s.Enum) == 0 && !isText && n.value != nil:
		return ", in quotes if it looks like something else"
	case s.Type == "array" && s.Items != nil && s.Items.Type == "string" && isText && !n.loose:
		return "; here [" + strings.Trim(quoted(text), `"`) + "]"
	case len(s.Enum) > 0 && isText && !n.loose:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		if m := meant(text, words); m != "" {
			return `; did you mean "` + m + `"?`
		}
	}
	return ""
}

// elsewhere are words that people bring along from other tools.
var elsewhere = map[string]string{
	"interval": "every", "schedule": "every", "period": "every", "cron": "every", "filter": "where", "condition": "where",
	"sources": "producers", "from": "producers", "operations": "ops", "events": "ops", "tlp": "max_tlp", "type": "kind",
	"id": "name", "workers": "concurrency", "path": "url", "file": "path", "uri": "url", "endpoint": "url", "address": "url",
	"server": "url", "servers": "url", "directory": "dir", "data": "dir", "bind": "listen", "addr": "listen", "port": "listen", "apikey": "token", "api_key": "token",
	"sinks": "consumers", "targets": "consumers", "outputs": "consumers", "inputs": "producers", "logging": "log",
}

func (l *loader) unknownKey(key string, s *schema.Schema, at path) string {
	known := keys(s)
	if m := meant(key, known); m != "" {
		return `did you mean "` + m + `"?`
	}
	if other := elsewhere[strings.ToLower(key)]; slices.Contains(known, other) {
		return `did you mean "` + other + `"?`
	}
	if len(at) == 0 {
		return "known are " + strings.Join(known, ", ") + "; keys for anchors begin with x-"
	}
	if len(known) == 0 {
		return "remove it"
	}
	return "known are " + strings.Join(known, ", ")
}
