package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/stixbridge/stixbridge/stix"
)

// tape is what the stand-in platform plays: one frame for each event, ready to be written to the socket.
type tape struct {
	frames [][]byte
	sizes  []int // bytes of the event on the wire
}

// Mixes of events that a tape can hold.
const (
	mixIndicators = "indicators" // one indicator each, as the platform makes it of a feed: 1.2 kB
	mixAttack     = "attack"     // objects of ATT&CK with the platform's extension
)

// firstEvent is the id of the first event, in milliseconds.
const firstEvent = 1_760_000_000_000

// record makes n events. Every again-th event, if it is above 0, is a new version of an object that came a while ago; the others are new
// objects.
func record(mix string, n, again int) (*tape, error) {
	var from []stix.Object
	if mix == mixAttack {
		err := read(source, func(o stix.Object) error {
			if !shared(o.Type()) && len(o.Raw()) < 64<<10 {
				from = append(from, o)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	t := &tape{frames: make([][]byte, n), sizes: make([]int, n)}
	for i := range n {
		object, version := i, 1
		if again > 0 && i%again == again-1 && i > 500 {
			object, version = i-500-i%7, 2
			if object%again == again-1 {
				object--
			}
		}
		var o []byte
		if from == nil {
			o = indicator(object)
		} else {
			o = platformed(renumber(from[object%len(from)].Raw(), uint64(object/len(from))), object)
		}
		event := envelope(i, object, version, o)
		t.sizes[i] = len(event)
		t.frames[i] = chunk(event)
	}
	return t, nil
}

// chunk is one piece of a chunked answer, as the platform writes one for each event.
func chunk(event []byte) []byte {
	b := fmt.Appendf(make([]byte, 0, len(event)+12), "%x\r\n", len(event))
	b = append(b, event...)
	return append(b, '\r', '\n')
}

// envelope is an event of knowledge on the wire. The object gains what the sink of the stand-in looks for.
func envelope(i, object, version int, o []byte) []byte {
	name, context := "create", ""
	if version > 1 {
		name, context = "update", `,"context":{"patch":[{"op":"replace","path":"/name","value":"b"}],"reverse_patch":[{"op":"replace","path":"/name","value":"a"}]}`
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %d-0\nevent: %s\ndata: ", firstEvent+i, name)
	fmt.Fprintf(&b, `{"version":"4","type":"%s","scope":"external","message":"%ss an object","origin":{"socket":"query","ip":"::1","user_id":"88ec0c6a-13ce-5e39-b486-354fe4a7084f","referer":"init"}%s,"data":`, name, name, context)
	b.Write(o[:len(o)-1])
	fmt.Fprintf(&b, `,"%s":[%d,%d,%d]}}`, benchKey, i, object, version)
	b.WriteString("\n\n")
	return b.Bytes()
}

// benchKey is the property that tells the sink which event, object and version it got.
const benchKey = "x_bench"

// name makes a UUID from a text.
func name(text string) string {
	h := sha1.Sum([]byte(text))
	x := hex.EncodeToString(h[:16])
	return x[:8] + "-" + x[8:12] + "-4" + x[13:16] + "-8" + x[17:20] + "-" + x[20:32]
}

const extension = "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba"

func indicator(i int) []byte {
	id := name(fmt.Sprint("indicator ", i))
	const day = "2025-10-01T00:00:00.000Z"
	return fmt.Appendf(nil, `{"id":"indicator--%s","type":"indicator","spec_version":"2.1","created":"%s","modified":"%s","name":"host-%d.example.org","description":"made for measuring","pattern":"[domain-name:value = 'host-%d.example.org']","pattern_type":"stix","valid_from":"%s","confidence":75,"lang":"en","labels":["malicious-activity","bench"],"object_marking_refs":["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"],"extensions":{"%s":{"extension_type":"property-extension","id":"%s","type":"Indicator","created_at":"%s","updated_at":"%s","is_inferred":false,"creator_ids":["88ec0c6a-13ce-5e39-b486-354fe4a7084f"],"detection":false,"score":60,"main_observable_type":"Domain-Name"}}}`,
		id, day, day, i, i, day, extension, name("internal "+id), day, day)
}

// platformed gives an object the platform's extension.
func platformed(o []byte, i int) []byte {
	o = append([]byte(nil), bytes.TrimSpace(o)...)
	o = o[:len(o)-1]
	return fmt.Appendf(o, `,"extensions":{"%s":{"extension_type":"property-extension","id":"%s","type":"x","created_at":"2025-10-01T00:00:00.000Z","updated_at":"2025-10-01T00:00:00.000Z","is_inferred":false,"creator_ids":["88ec0c6a-13ce-5e39-b486-354fe4a7084f"]}}}`, extension, name(fmt.Sprint("internal attack ", i)))
}

// mark is what a body says about one event: its number, its object's and its version's.
type mark struct{ event, object, version int }

// marks finds what events a body holds.
func marks(body []byte, each func(mark)) {
	key := []byte(`"` + benchKey + `":`)
	for {
		i := bytes.Index(body, key)
		if i < 0 {
			return
		}
		body = body[i+len(key):]
		end := bytes.IndexByte(body, ']')
		var v [3]int
		if end > 0 && json.Unmarshal(body[:end+1], &v) == nil {
			each(mark{v[0], v[1], v[2]})
		}
	}
}
