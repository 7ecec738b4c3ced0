package bridge

import (
	"encoding/json"
	"reflect"
)

// MaxContext bounds the Stix-Context header, in bytes.
const MaxContext = 16 << 10

var emptyContext = Context{}

// JSON returns the compact form of the context; empty members are left out, an empty context is "{}".
func (c Context) JSON() []byte {
	if c.isZero() {
		return []byte("{}")
	}
	b, _ := json.Marshal(c) // no member can fail: RawMessage members were valid JSON when they were set
	return b
}

func (c Context) isZero() bool { return reflect.DeepEqual(c, emptyContext) }

// ParseContext reads a Stix-Context header; members it does not know are ignored.
func ParseContext(b []byte) (c Context, err error) {
	if len(b) == 0 {
		return c, nil
	}
	err = json.Unmarshal(b, &c)
	return c, err
}
