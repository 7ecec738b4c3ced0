package webhook

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/invopop/jsonschema"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// maxRefs bounds what one event looks up: a report may refer to thousands of objects.
const maxRefs = 256

// Expand says which references of an object are given with type and name beside it.
type Expand struct {
	All        bool
	Properties []string
}

// UnmarshalJSON reads true, false or a list of properties.
func (x *Expand) UnmarshalJSON(b []byte) error {
	*x = Expand{}
	if json.Unmarshal(b, &x.All) == nil || json.Unmarshal(b, &x.Properties) == nil {
		return nil
	}
	return errors.New("expand: want true, or a list of properties such as [created_by_ref, object_refs]")
}

// MarshalJSON writes what UnmarshalJSON reads.
func (x Expand) MarshalJSON() ([]byte, error) {
	if len(x.Properties) > 0 {
		return json.Marshal(x.Properties)
	}
	return json.Marshal(x.All)
}

// JSONSchema describes the type in the configuration schema.
func (Expand) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		OneOf:       []*jsonschema.Schema{{Type: "boolean"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}}},
		Description: "Add refs to each event: type and name of what the object refers to, as far as it is known and within max_tlp. true: all references; or a list of properties. At most 256 per event.",
	}
}

// named is what is said about a reference.
type named struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

// refs is the JSON of the names behind an event's references; nil when there is nothing to say. References that are
// unknown or above the sink's ceiling are left out.
func (x Expand) refs(ctx context.Context, e bridge.Event) ([]byte, error) {
	ids := x.of(e.Object)
	if len(ids) > maxRefs {
		ids = ids[:maxRefs]
	}
	found := map[string]named{}
	for _, id := range ids {
		o, ok, err := e.Resolve(ctx, id)
		if err != nil {
			return nil, err
		}
		if ok {
			found[id] = named{o.Type(), name(o)}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return json.Marshal(found)
}

func (x Expand) of(o stix.Object) []string {
	if x.All {
		return o.Refs()
	}
	var ids []string
	for _, p := range x.Properties {
		raw, ok := o.Get(p)
		if !ok {
			continue
		}
		var one string
		var many []string
		if json.Unmarshal(raw, &one) == nil {
			ids = append(ids, one)
		} else if json.Unmarshal(raw, &many) == nil {
			ids = append(ids, many...)
		}
	}
	return ids
}

// name is what a person calls an object; observables have a value, and a file perhaps neither.
func name(o stix.Object) string {
	for _, p := range []string{"name", "value", "display_name", "user_id", "path", "subject", "key"} {
		if raw, ok := o.Get(p); ok {
			var s string
			if json.Unmarshal(raw, &s) == nil && s != "" {
				return s
			}
		}
	}
	return ""
}
