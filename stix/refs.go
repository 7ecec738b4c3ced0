package stix

import "strings"

// Refs are the ids in all *_ref and *_refs members at any depth, extensions included, each
// once, in their order.
func (o Object) Refs() []string {
	if o.h == nil {
		return nil
	}
	var r refs
	r.walk(o.h.raw)
	return r.list
}

type refs struct {
	list []string
	seen map[string]bool
}

func (r *refs) add(raw []byte) {
	if raw[0] != '"' {
		return
	}
	id, _ := text(raw)
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	if !r.seen[id] {
		r.seen[id] = true
		r.list = append(r.list, id)
	}
}

func (r *refs) walk(raw []byte) {
	switch raw[0] {
	case '[':
		for _, value := range elements(raw) {
			r.walk(value)
		}
	case '{':
		for key, value := range members(raw) {
			switch {
			case strings.HasSuffix(key, "_ref"):
				r.add(value)
			case strings.HasSuffix(key, "_refs"):
				for _, ref := range elements(value) {
					r.add(ref)
				}
			}
			if value[0] == '{' || value[0] == '[' {
				r.walk(value)
			}
		}
	}
}
