package gate

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// volatile properties move without the knowledge changing: time stamps, versions, work flow and bookkeeping of a platform.
var volatile = map[string]bool{
	"modified": true, "updated_at": true, "refreshed_at": true, "created_at": true, "spec_version": true,
	"x_opencti_updated_at": true, "x_opencti_modified_at": true, "x_opencti_refreshed_at": true, "x_opencti_workflow_id": true,
	"workflow_id": true, "is_inferred": true, "creator_ids": true, "x_opencti_id": true, "stix_ids": true, "x_opencti_stix_ids": true,
}

// Volatile reports whether a property never counts as a change.
func Volatile(property string) bool { return volatile[property] }

// touched reports whether one of the properties differs between two versions. A property is a top-level one, a member of any
// extension, or a path with dots; * stands for everything that is not volatile.
func touched(properties []string, before, now stix.Object) bool {
	for _, p := range properties {
		if p == "*" {
			if !equal(stripped(before), stripped(now)) {
				return true
			}
			continue
		}
		for _, path := range places(p, before, now) {
			a, hadIt := before.Get(path...)
			b, hasIt := now.Get(path...)
			if hadIt != hasIt || (hadIt && !equal(a, b)) {
				return true
			}
		}
	}
	return false
}

// places lists where a property may stand in one of the two versions.
func places(p string, objects ...stix.Object) [][]string {
	all := [][]string{{p}}
	if strings.Contains(p, ".") {
		all = append(all, strings.Split(p, "."))
	}
	if !strings.HasPrefix(p, "x_opencti_") {
		all = append(all, []string{"x_opencti_" + p})
	}
	seen := map[string]bool{}
	for _, o := range objects {
		raw, ok := o.Get("extensions")
		if !ok {
			continue
		}
		var extensions map[string]json.RawMessage
		if json.Unmarshal(raw, &extensions) != nil {
			continue
		}
		for id := range extensions {
			if !seen[id] {
				seen[id] = true
				all = append(all, []string{"extensions", id, strings.TrimPrefix(p, "x_opencti_")})
			}
		}
	}
	return all
}

// stripped is the object without its volatile properties, at the top and in extensions.
func stripped(o stix.Object) []byte {
	var top map[string]json.RawMessage
	if o.Decode(&top) != nil {
		return o.Raw()
	}
	strip(top)
	var extensions map[string]json.RawMessage
	if json.Unmarshal(top["extensions"], &extensions) == nil {
		for id, raw := range extensions {
			var members map[string]json.RawMessage
			if json.Unmarshal(raw, &members) == nil {
				strip(members)
				extensions[id], _ = json.Marshal(members)
			}
		}
		top["extensions"], _ = json.Marshal(extensions)
	}
	b, err := json.Marshal(top)
	if err != nil {
		return o.Raw()
	}
	return b
}

func strip(m map[string]json.RawMessage) {
	for k := range m {
		if volatile[k] {
			delete(m, k)
		}
	}
}

// equal compares JSON by content.
func equal(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	ca, err1 := stix.Canonical(a)
	cb, err2 := stix.Canonical(b)
	return err1 == nil && err2 == nil && bytes.Equal(ca, cb)
}
