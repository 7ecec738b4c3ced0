package opencti

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
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

// cleaned returns the object as it may go to a platform: without orders, and without what belongs to another platform.
func cleaned(o stix.Object) (stix.Object, error) {
	o, err := drop(o, append([]string{"x_opencti_id", "x_opencti_files", "x_opencti_workflow_id", "nb_deps"}, orders...))
	if err != nil {
		return o, err
	}
	if o, err = platformMarkings(o); err != nil {
		return o, err
	}
	raw, ok := o.Get("extensions")
	if !ok {
		return o, nil
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
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
func platformMarkings(o stix.Object) (stix.Object, error) {
	var ids, out []string
	raw, ok := o.Get("object_marking_refs")
	if !ok || json.Unmarshal(raw, &ids) != nil {
		return o, nil
	}
	changed := false
	for _, id := range ids {
		if level, tlp := stix.MarkingTLP(id); tlp && level.MarkingID() != "" && level.MarkingID() != id {
			id, changed = level.MarkingID(), true
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	if !changed {
		return o, nil
	}
	return o.Set("object_marking_refs", out)
}

func drop(o stix.Object, keys []string) (stix.Object, error) {
	var there []string
	for _, k := range keys {
		if _, ok := o.Get(k); ok {
			there = append(there, k)
		}
	}
	if len(there) == 0 {
		return o, nil
	}
	return o.Drop(there...)
}

// inferred reports whether a platform's rules made this object: its worker passes over such objects.
func inferred(o stix.Object) bool {
	raw, ok := o.Get("extensions", stix.OpenCTIExtension, "is_inferred")
	return ok && string(raw) == "true"
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

// references lists what an object refers to on its top level, which is what the platform resolves.
func references(o stix.Object) (ids []string) {
	for k, v := range o.Members() {
		switch {
		case strings.HasSuffix(k, "_ref"):
			var id string
			if json.Unmarshal(v, &id) == nil && id != "" {
				ids = append(ids, id)
			}
		case strings.HasSuffix(k, "_refs"):
			var list []string
			if json.Unmarshal(v, &list) == nil {
				ids = append(ids, list...)
			}
		}
	}
	return ids
}

// echo reports why an event must not go to this platform: it comes from there, or the platform has the same content already.
func (s *sink) echo(ctx context.Context, e bridge.Event, o stix.Object) (string, error) {
	if from := e.Context.Origin; from != nil && from.Platform == s.platform {
		s.memory.follow(e.Producer)
		return heldEcho, nil
	}
	if e.Retracts() || e.Op == bridge.Merge {
		return "", nil
	}
	for _, producer := range s.memory.following() {
		theirs, ok, err := s.lent().Lookup(ctx, o.ID(), producer)
		if err != nil {
			return "", err
		}
		if ok && equals(o, theirs) {
			return heldSame, nil
		}
	}
	return "", nil
}

func (s *sink) lent() bridge.Env {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env
}
