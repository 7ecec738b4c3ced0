package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	schema "github.com/invopop/jsonschema"
	judge "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stixbridge/stixbridge/bridge"
)

// Plugins are the kinds that a configuration may name.
type Plugins struct {
	Producers []bridge.Plugin[bridge.Producer]
	Sinks     []bridge.Plugin[bridge.Sink]
	Enrichers []bridge.Plugin[bridge.Enricher]

	// CompileWhere says what is wrong with a where expression; nil accepts all. Its error may have a method Column() int
	// that counts characters from 1.
	CompileWhere func(string) error
}

type role string

const (
	producer role = "producer"
	sink     role = "sink"
	enricher role = "enricher"
)

// section of the file in which a role stands.
func (r role) section() string {
	if r == producer {
		return "producers"
	}
	return "consumers"
}

// kind is one plugin without its type.
type kind struct {
	name, summary, example string
	role                   role
	traits                 bridge.Traits
	defaults               any            // pointer to the plugin's struct
	own                    *schema.Schema // keys of the plugin
	full                   *schema.Schema // keys of the runtime and the plugin
	judge                  *judge.Schema  // compiled full
	build                  func(json.RawMessage) (any, error)
}

// owns reports whether a key goes to the plugin. A key that the runtime and the plugin both declare goes to both.
func (k *kind) owns(key string) bool {
	_, ok := k.own.Properties.Get(key)
	return ok
}

// registry holds the schemas of everything that may stand in the file.
type registry struct {
	top      *schema.Schema
	topJudge *judge.Schema
	common   map[string]*schema.Schema // by section
	loose    map[string]*judge.Schema  // common, other keys allowed: for sections of an unknown kind
	kinds    map[string]map[string]*kind
}

func newRegistry(p Plugins) (*registry, error) {
	r := &registry{
		common: map[string]*schema.Schema{"producers": reflected(bridge.ProducerConfig{}), "consumers": reflected(bridge.ConsumerConfig{})},
		loose:  map[string]*judge.Schema{},
		kinds:  map[string]map[string]*kind{"producers": {}, "consumers": {}},
	}
	r.top = reflected(bridge.Config{})
	for section := range r.common {
		open := *r.common[section]
		open.AdditionalProperties = schema.TrueSchema
		open.Required = []string{"name"}
		open.Properties = schema.NewProperties() // all but kind, which is reported for itself
		for p := r.common[section].Properties.Oldest(); p != nil; p = p.Next() {
			if p.Key != "kind" {
				open.Properties.Set(p.Key, p.Value)
			}
		}
		var err error
		if r.loose[section], err = compiled(&open); err != nil {
			return nil, err
		}
		// one by one they are judged by their kind
		r.top.Properties.Set(section, &schema.Schema{Type: "array", Items: &schema.Schema{Type: "object"}})
	}
	r.top.PatternProperties = map[string]*schema.Schema{"^x-": schema.TrueSchema}
	var err error
	if r.topJudge, err = compiled(r.top); err != nil {
		return nil, err
	}
	return r, joinFirst(
		enroll(r, producer, p.Producers),
		enroll(r, sink, p.Sinks),
		enroll(r, enricher, p.Enrichers),
	)
}

func joinFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func enroll[T any](r *registry, as role, plugins []bridge.Plugin[T]) error {
	for _, p := range plugins {
		k := &kind{
			name: p.Kind, summary: p.Summary, example: p.Example, role: as, traits: p.Traits, defaults: p.Defaults(),
			build: func(section json.RawMessage) (any, error) { return p.Build(section) },
		}
		in := r.kinds[as.section()]
		if in[p.Kind] != nil {
			return fmt.Errorf("kind %s is defined twice among the %s", p.Kind, as.section())
		}
		k.own = reflected(k.defaults)
		values := tree(k.defaults)
		k.own.Required = slices.DeleteFunc(k.own.Required, func(key string) bool { return defaultOf(values[key], nil) != "" }) // a key with a default may be left out
		k.full = joined(r.common[as.section()], k.own)
		var err error
		if k.judge, err = compiled(k.full); err != nil {
			return fmt.Errorf("schema of kind %s: %w", p.Kind, err)
		}
		in[p.Kind] = k
	}
	return nil
}

// names of the kinds of a section, sorted.
func (r *registry) names(section string) []string {
	var names []string
	for name := range r.kinds[section] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// inherits reports whether sections of a kind take url, token and tls from the section opencti.
func inherits(kindName string) bool {
	return kindName == "opencti" || strings.HasPrefix(kindName, "opencti-")
}
