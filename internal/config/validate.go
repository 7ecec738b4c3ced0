package config

import (
	"errors"
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
