package config

import (
	"bytes"
	"encoding/json"
	"slices"

	schema "github.com/invopop/jsonschema"
	judge "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stixbridge/stixbridge/bridge"
)

// reflected is the schema of a configuration struct, in one piece: struct names of different plugins may be equal.
func reflected(v any) *schema.Schema {
	r := &schema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true}
	s := r.Reflect(v)
	s.Version = ""
	s.Definitions = nil
	if s.Properties == nil {
		s.Properties = schema.NewProperties()
	}
	return s
}

// joined puts the runtime's keys before the plugin's. For a key of both, the runtime's rules hold.
func joined(common, own *schema.Schema) *schema.Schema {
	s := *common
	s.Properties = schema.NewProperties()
	for p := common.Properties.Oldest(); p != nil; p = p.Next() {
		s.Properties.Set(p.Key, p.Value)
	}
	for p := own.Properties.Oldest(); p != nil; p = p.Next() {
		if shared, ok := s.Properties.Get(p.Key); ok {
			if p.Value.Description != "" {
				described := *shared
				described.Description = p.Value.Description
				s.Properties.Set(p.Key, &described)
			}
			continue
		}
		s.Properties.Set(p.Key, p.Value)
	}
	s.Required = slices.Clone(common.Required)
	for _, key := range own.Required {
		if !slices.Contains(s.Required, key) {
			s.Required = append(s.Required, key)
		}
	}
	return &s
}

func compiled(s *schema.Schema) (*judge.Schema, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	doc, err := judge.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := judge.NewCompiler()
	c.AssertFormat()
	for name, check := range map[string]func(string) error{
		"duration": func(s string) error { _, err := bridge.ParseDuration(s); return err },
		"size":     func(s string) error { _, err := bridge.ParseSize(s); return err },
	} {
		c.RegisterFormat(&judge.Format{Name: name, Validate: func(v any) error {
			if s, ok := v.(string); ok {
				return check(s)
			}
			return nil
		}})
	}
	if err := c.AddResource("section.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("section.json")
}

// under returns the schema of a place below s; nil when the schema does not tell.
func under(s *schema.Schema, place path) *schema.Schema {
	for _, step := range place {
		if s == nil {
			return nil
		}
		if step.name == "" {
			s = s.Items
			continue
		}
		next := s.AdditionalProperties
		if s.Properties != nil {
			if v, ok := s.Properties.Get(step.name); ok {
				next = v
			}
		}
		s = next
	}
	return s
}

// keys of an object schema, in order.
func keys(s *schema.Schema) (names []string) {
	if s == nil || s.Properties == nil {
		return nil
	}
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		names = append(names, p.Key)
	}
	return names
}

func isSecret(s *schema.Schema) bool { return s != nil && s.Format == "secret" }
