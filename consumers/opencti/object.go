package opencti

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// orders are members by which the platform's worker is told to do something else than to import. Nobody but us gives orders: a feed
// that carries one must not be able to delete what is in the platform.
var orders = []string{"opencti_operation", "opencti_upsert_operations", "merge_target_id", "merge_source_ids"}

// internal are members of the platform's extension that mean something on the platform that wrote them only.
var internal = append([]string{
	"id", "created_at", "updated_at", "creator_ids", "labels_ids", "workflow_id", "assignee_ids", "participant_ids", "files",
	"source_ref", "target_ref", "sighting_of_ref", "where_sighted_refs", "kill_chain_phases_ids", "external_references_ids", "created_by_ref_id", "object_marking_refs_ids",
}, orders...)

// foreign are members that belong to another platform, or give orders.
var foreign = func() map[string]bool {
	m := map[string]bool{"x_opencti_id": true, "x_opencti_files": true, "x_opencti_workflow_id": true, "nb_deps": true}
	for _, k := range orders {
		m[k] = true
	}
	return m
}()

// outward is an object in the form in which it may go to a platform: without orders, and without what belongs to another platform.
type outward struct {
	object   stix.Object
	refs     []string // ids on its top level, which is what the platform resolves; none when it is not sent anyway
	inferred bool     // a platform's rules made it: its worker passes over such objects
}

// ends are references without which the platform takes no object.
var ends = map[string]bool{"source_ref": true, "target_ref": true, "sighting_of_ref": true}

// supported reports whether the platform takes the object behind an id.
func supported(id string) bool {
	typ, _, ok := strings.Cut(id, "--")
	return !ok || stix.OpenCTITypes(typ)
}

// clean brings an object into that form. It reads the object once, and writes it only where something has to change.
func clean(o stix.Object) (out outward, err error) {
	var there []string
	var extensions, markings json.RawMessage
	fit := supported(o.ID())
	for k, v := range o.Members() {
		switch {
		case foreign[k]:
			there = append(there, k)
		case k == "extensions":
			extensions = v
		case k == "object_marking_refs":
			markings = v
		case strings.HasSuffix(k, "_ref"):
			if id := text(v); supported(id) && id != "" {
				out.refs = append(out.refs, id)
			} else if ends[k] {
				fit = false
			}
		case strings.HasSuffix(k, "_refs"):
			for _, id := range texts(v) {
				if supported(id) {
					out.refs = append(out.refs, id)
				}
			}
		}
	}
	if len(there) > 0 {
		if o, err = o.Drop(there...); err != nil {
			return out, err
		}
	}
	if markings != nil {
		ids, changed := platformMarkings(texts(markings))
		out.refs = append(out.refs, ids...)
		if changed {
			if o, err = o.Set("object_marking_refs", ids); err != nil {
				return out, err
			}
		}
	}
	if bytes.Contains(extensions, []byte(stix.OpenCTIExtension)) || bytes.Contains(extensions, []byte(stix.OpenCTISCOExtension)) {
		if o, err = withoutInternal(o, extensions); err != nil {
			return out, err
		}
		raw, ok := o.Get("extensions", stix.OpenCTIExtension, "is_inferred")
		out.inferred = ok && string(raw) == "true"
	}
	out.object = o
	if !fit {
		out.refs = nil
	}
	return out, nil
}

// withoutInternal takes what is internal out of the platform's own extensions.
func withoutInternal(o stix.Object, extensions json.RawMessage) (stix.Object, error) {
	var all map[string]json.RawMessage
	if json.Unmarshal(extensions, &all) != nil {
		return o, nil
	}
	changed := false
	for _, name := range []string{stix.OpenCTIExtension, stix.OpenCTISCOExtension} {
		var ext map[string]json.RawMessage
		if json.Unmarshal(all[name], &ext) != nil {
			continue
		}
		n := len(ext)
		for _, k := range internal {
			delete(ext, k)
		}
		if len(ext) == n {
			continue
		}
		changed = true
		var err error
		if all[name], err = json.Marshal(ext); err != nil {
			return o, err
		}
	}
	if !changed {
		return o, nil
	}
	return o.Set("extensions", all)
}

// platformMarkings names each TLP level by the id under which every platform has it: TLP 2.0 has ids of its own, which platforms do
// not know, and an object whose marking they do not know they refuse.
func platformMarkings(ids []string) (out []string, changed bool) {
	for _, id := range ids {
		if level, tlp := stix.MarkingTLP(id); tlp && level.MarkingID() != "" && level.MarkingID() != id {
			id, changed = level.MarkingID(), true
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, changed
}

// text is the value of a JSON string, empty for anything else.
func text(raw []byte) (s string) {
	switch {
	case len(raw) < 2 || raw[0] != '"':
	case bytes.IndexByte(raw, '\\') < 0:
		return string(raw[1 : len(raw)-1])
	case json.Unmarshal(raw, &s) != nil:
		return ""
	}
	return s
}

// texts are the values of a JSON array of strings, none for anything else.
func texts(raw []byte) []string {
	if len(raw) < 2 || raw[0] != '[' {
		return nil
	}
	var out []string
	for rest := raw[1 : len(raw)-1]; len(rest) > 0; {
		end := bytes.IndexByte(rest[1:], '"') + 2
		if rest[0] != '"' || end < 2 || bytes.IndexByte(rest[:end], '\\') >= 0 { // not as simple as ids are
			out = nil
			if json.Unmarshal(raw, &out) != nil {
				return nil
			}
			return out
		}
		out = append(out, string(rest[1:end-1]))
		if rest = rest[end:]; len(rest) > 0 {
			rest = rest[1:]
		}
	}
	return out
}

// volatile members say nothing about content.
var volatile = []string{"id", "type", "spec_version", "created", "modified", "extensions"}

// equals reports whether writing o to a platform that last said theirs would change nothing: each member of o is there with the same
// value. Lists of references and labels are compared as sets.
func equals(o, theirs stix.Object) bool {
	for k, v := range o.Members() {
		if slices.Contains(volatile, k) {
			continue
		}
		w, ok := theirs.Get(k)
		if !ok || !sameValue(k, v, w) {
			return false
		}
	}
	raw, ok := o.Get("extensions")
	if !ok {
		return true
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return false
	}
	for name, v := range all {
		if name != stix.OpenCTIExtension && name != stix.OpenCTISCOExtension {
			if w, ok := theirs.Get("extensions", name); !ok || !sameValue("", v, w) {
				return false
			}
			continue
		}
		var ext map[string]json.RawMessage
		if json.Unmarshal(v, &ext) != nil {
			return false
		}
		for k, v := range ext {
			if slices.Contains(internal, k) || k == "stix_ids" || k == "extension_type" || k == "is_inferred" || k == "type" {
				continue
			}
			if w, ok := theirs.Get("extensions", name, k); !ok || !sameValue(k, v, w) {
				return false
			}
		}
	}
	return true
}

func sameValue(key string, a, b json.RawMessage) bool {
	if key == "labels" || strings.HasSuffix(key, "_refs") {
		var x, y []string
		if json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil {
			slices.Sort(x)
			slices.Sort(y)
			return slices.Equal(x, y)
		}
	}
	x, err := stix.Canonical(a)
	if err != nil {
		return false
	}
	y, err := stix.Canonical(b)
	return err == nil && string(x) == string(y)
}
