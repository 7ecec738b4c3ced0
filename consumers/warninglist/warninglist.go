// Package warninglist is the enricher that marks values on MISP warning lists: resolvers, private ranges, popular sites, hashes of
// empty files… It works offline, from the lists' files. What is on a list gets a label; nothing is taken away.
package warninglist

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Plugin is the kind warninglist.
var Plugin = bridge.Define("warninglist", "Label observables and indicators that are on MISP warning lists (offline)", Config{Label: "warninglist:{list}"}, newEnricher).For(`kind: warninglist
name: warnings
lists: [./misp-warninglists/lists]
`)

// Config of a warninglist enricher.
type Config struct {
	Lists []string `json:"lists" jsonschema:"description=Files (.json\\, .json.gz) or directories of MISP warning lists; directories are searched to any depth."`
	Label string   `json:"label,omitempty" jsonschema:"description=Label of what is on a list; {list} becomes the list's short name\\, that of its file or directory. Default warninglist:{list}."`
}

type enricher struct {
	index *index
	label []string // by list
}

func newEnricher(c Config) (bridge.Enricher, error) {
	if len(c.Lists) == 0 {
		return nil, bridge.KeyError("lists", errors.New("name files or directories of warning lists"))
	}
	if strings.TrimSpace(c.Label) == "" {
		return nil, bridge.KeyError("label", errors.New("must not be empty"))
	}
	x, err := load(c.Lists)
	if err != nil {
		return nil, bridge.KeyError("lists", err)
	}
	e := &enricher{index: x}
	for _, l := range x.lists {
		e.label = append(e.label, strings.ReplaceAll(c.Label, "{list}", l.slug))
	}
	return e, nil
}

// Start says which expressions of the lists cannot be used.
func (e *enricher) Start(_ context.Context, env bridge.Env) error {
	for _, s := range e.index.skipped {
		env.Log.Warn("entry of a warning list cannot be used", "entry", s)
	}
	return nil
}

// Enrich answers with the object and the labels that it lacks; with nothing when it is on no list or has them all, so its own answer
// ends the circle.
func (e *enricher) Enrich(_ context.Context, ev bridge.Event) ([]stix.Object, error) {
	if ev.Retracts() {
		return nil, nil
	}
	var hits []int
	for _, v := range values(ev.Object) {
		hits = e.index.match(hits, v)
	}
	if len(hits) == 0 {
		return nil, nil
	}
	var labels []string
	if raw, ok := ev.Object.Get("labels"); ok {
		if json.Unmarshal(raw, &labels) != nil {
			return nil, nil // labels that are no list of texts: not ours to mend
		}
	}
	before := len(labels)
	slices.Sort(hits)
	for _, i := range slices.Compact(hits) {
		if l := e.label[i]; !slices.Contains(labels, l) {
			labels = append(labels, l)
		}
	}
	if len(labels) == before {
		return nil, nil
	}
	o, err := ev.Object.Set("labels", labels)
	if err != nil {
		return nil, bridge.Permanent(err)
	}
	return []stix.Object{o}, nil
}

// Report shows in status what was loaded.
func (e *enricher) Report() map[string]any {
	return map[string]any{"lists": len(e.index.lists), "entries": e.index.entries, "skipped_entries": len(e.index.skipped)}
}
