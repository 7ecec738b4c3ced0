package build

import (
	"maps"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// Extension sets an extension: definition is the id of its extension-definition. Without an
// extension_type it is a property-extension. The ids of files and of network traffic depend
// on their extensions, so that these cannot have any here: the platform knows them without.
func (b *Builder) Extension(definition string, properties map[string]any) *Builder {
	switch {
	case !strings.HasPrefix(definition, "extension-definition--"):
		return b.fail("%.80q is no id of an extension-definition", definition)
	case b.typ == "file" || b.typ == "network-traffic":
		return b.fail("an extension would change the id")
	case len(properties) == 0:
		return b
	}
	all := map[string]any{}
	for _, p := range b.props {
		if old, ok := p.value.(map[string]any); ok && p.name == "extensions" {
			all = maps.Clone(old)
		}
	}
	members := map[string]any{"extension_type": "property-extension"}
	if old, ok := all[definition].(map[string]any); ok {
		members = maps.Clone(old)
	}
	maps.Copy(members, properties)
	all[definition] = members
	return b.Set("extensions", all)
}

// OpenCTI sets a property in OpenCTI's own extension (that of observables, for observables),
// by the extension's name, as "score". The methods for it, like [Builder.Score], write at
// the top level instead, where the platform reads the same and no id depends on it.
func (b *Builder) OpenCTI(name string, value any) *Builder {
	definition := stix.OpenCTISCOExtension
	if b.dated {
		definition = stix.OpenCTIExtension
	}
	return b.Extension(definition, map[string]any{name: value})
}
