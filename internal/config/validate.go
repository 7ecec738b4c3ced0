package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	schema "github.com/invopop/jsonschema"
	judge "github.com/santhosh-tekuri/jsonschema/v6"
	why "github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// validate reports what the schema does not allow below n and takes it out, so that the rest can be decoded and checked.
// It reports whether everything was allowed.
func (l *loader) validate(n *node, s *schema.Schema, by *judge.Schema, at path) bool {
	err := by.Validate(n.plain())
	var invalid *judge.ValidationError
	if !errors.As(err, &invalid) {
		return err == nil
	}
	var bad []path
	l.refuse(n, s, invalid, at, &bad)
	for _, place := range bad {
		prune(n, place)
	}
	return false
}

func (l *loader) refuse(n *node, s *schema.Schema, e *judge.ValidationError, at path, bad *[]path) {
	switch e.ErrorKind.(type) {
	case *why.Group, *why.Schema, *why.AllOf, *why.Reference, nil:
		for _, c := range e.Causes {
			l.refuse(n, s, c, at, bad)
		}
		return
	}
	var place path // relative to n
	for _, token := range e.InstanceLocation {
		if here, ok := n.find(place); ok && here.shape == list {
			i, _ := strconv.Atoi(token)
			place = place.item(i)
			continue
		}
		place = place.key(token)
	}
	here, _ := n.find(place)
	if here.failed {
		*bad = append(*bad, place)
		return
	}
	hs := under(s, place)
	full := append(slices.Clone(at), place...)
	switch k := e.ErrorKind.(type) {
	case *why.AdditionalProperties:
		for _, key := range k.Properties {
			l.report.errorf(n.keyAt(place.key(key)), full.key(key).String(), "unknown key; %s", l.unknownKey(key, hs, full))
			*bad = append(*bad, place.key(key))
		}
		return
	case *why.Required:
		for _, key := range k.Missing {
			what := describe(hs, key)
			if key == "kind" && len(full) == 2 {
				what = "; known kinds are " + strings.Join(l.reg.names(full[0].name), ", ")
			}
			l.report.errorf(here.at, full.String(), "the key %s is missing; add it%s", key, what)
		}
		if len(place) > 0 {
			*bad = append(*bad, place)
		}
		return
	case *why.MinItems:
		if k.Got == 0 {
			l.report.errorf(here.at, full.String(), "the list is empty; name at least %d, or remove the key", k.Want)
		} else {
			l.report.errorf(here.at, full.String(), "the list has %d entries; give at least %d", k.Got, k.Want)
		}
	case *why.MaxItems:
		l.report.errorf(here.at, full.String(), "the list has %d entries; give at most %d", k.Got, k.Want)
	case *why.UniqueItems:
		second := full.item(k.Duplicates[1])
		at, _ := n.find(place.item(k.Duplicates[1]))
		l.report.errorf(at.at, second.String(), "is the same as entry %d; remove one of them", k.Duplicates[0])
	case *why.MinLength:
		if k.Got == 0 {
			l.report.errorf(here.at, full.String(), "is empty; write %s, or remove the key", want(hs))
			break
		}
		l.report.errorf(here.at, full.String(), "has %d characters; write at least %d", k.Got, k.Want)
	case *why.MaxLength:
		l.report.errorf(here.at, full.String(), "has %d characters; write at most %d", k.Got, k.Want)
	case *why.Format:
		l.report.errorf(here.at, full.String(), "%s does not fit; write %s", got(here, hs), want(hs))
	default:
		if hs == nil || want(hs) == "" {
			l.report.errorf(here.at, full.String(), "%s; see the reference for what is allowed", e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
			break
		}
		l.report.errorf(here.at, full.String(), "%s does not fit; write %s%s", got(here, hs), want(hs), hint(here, hs))
	}
	*bad = append(*bad, place)
}

// prune takes the entry out that holds a place; items of lists go with their list, so that no index moves. The lists of
// sections stay: what is no mapping in them is passed over.
func prune(n *node, place path) {
	last := -1
	for i, s := range place {
		if s.name == "" {
			break
		}
		last = i
	}
	if last < 0 || last == 0 && len(place) == 2 && (place[0].name == "producers" || place[0].name == "consumers") {
		return
	}
	if parent, ok := n.find(place[:last]); ok {
		parent.drop(place[last].name)
	}
}

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
