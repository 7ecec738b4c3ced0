package config

import (
	"encoding/json"
	"maps"
	"slices"

	schema "github.com/invopop/jsonschema"
)

// Schema returns the JSON schema (draft 2020-12) of the configuration file for editors: each section by its kind, ${VAR}
// wherever a value may stand, and secrets also as …_file.
func Schema(p Plugins) ([]byte, error) {
	reg, err := newRegistry(p)
	if err != nil {
		return nil, err
	}
	top := open(reg.top)
	top.Version = schema.Version
	top.Title = "stixbridge configuration"
	top.Definitions = schema.Definitions{}
	top.Required = nil
	for section := range reg.common {
		items := &schema.Schema{Type: "object", Properties: schema.NewProperties(), Required: []string{"kind", "name"}}
		names := reg.names(section)
		var kinds []any
		for _, name := range names {
			k := reg.kinds[section][name]
			kinds = append(kinds, name)
			def := section + "." + name
			s := open(k.full)
			s.Description = k.summary
			s.Properties.Set("kind", &schema.Schema{Const: name})
			top.Definitions[def] = s
			only := schema.NewProperties()
			only.Set("kind", &schema.Schema{Const: name})
			items.AllOf = append(items.AllOf, &schema.Schema{
				If:   &schema.Schema{Properties: only, Required: []string{"kind"}},
				Then: &schema.Schema{Ref: "#/$defs/" + def},
			})
		}
		if kinds != nil {
			items.Properties.Set("kind", &schema.Schema{Type: "string", Enum: kinds})
		}
		list := &schema.Schema{Type: "array", Items: items, Description: map[string]string{
			"producers": "Sources: each turns one source into change events.",
			"consumers": "Targets: sinks deliver, enrichers answer with more knowledge.",
		}[section]}
		top.Properties.Set(section, list)
	}
	b, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// open copies a schema for editors: rules that only the bridge checks go, and variables are allowed.
func open(s *schema.Schema) *schema.Schema {
	if s == nil || s == schema.TrueSchema || s == schema.FalseSchema {
		return s
	}
	c := *s
	if c.Properties != nil {
		c.Properties = schema.NewProperties()
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			c.Properties.Set(p.Key, open(p.Value))
			if isSecret(p.Value) {
				c.Required = slices.DeleteFunc(slices.Clone(c.Required), func(key string) bool { return key == p.Key })
				c.Properties.Set(p.Key+"_file", &schema.Schema{Type: "string", Description: "File that holds " + p.Key + "."})
			}
		}
	}
	c.Items = open(s.Items)
	c.AdditionalProperties = open(s.AdditionalProperties)
	c.OneOf = nil
	c.PatternProperties = maps.Clone(s.PatternProperties)
	if s.Format == "duration" || s.Format == "size" || s.Format == "secret" {
		c.Format = "" // names of our own, or of something else to an editor
	}
	constrained := len(s.Enum) > 0 || s.Pattern != "" || c.Format != ""
	if s.Type == "object" || s.Type == "array" || s.Type == "string" && !constrained {
		return &c
	}
	if s.Type == "" && len(s.OneOf) == 0 {
		return &c
	}
	variable := &schema.Schema{Type: "string", Pattern: `\$\{`}
	if len(s.OneOf) > 0 { // a size: text or a number
		c.AnyOf = nil
		for _, a := range s.OneOf {
			c.AnyOf = append(c.AnyOf, open(a))
		}
		return &c
	}
	described, def, examples := c.Description, c.Default, c.Examples
	c.Description, c.Default, c.Examples = "", nil, nil
	return &schema.Schema{AnyOf: []*schema.Schema{&c, variable}, Description: described, Default: def, Examples: examples}
}
