package bridge

import (
	"encoding/json"
	"strconv"
	"time"
)

// appendLine writes {"seq","time","producer","tlp","op","id","event_id","object","context"?}. The object's stored bytes are copied, never decoded.
func appendLine(b []byte, e Event) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","producer":"`...)
	b = append(b, e.Producer...)
	b = append(b, `","tlp":"`...)
	b = append(b, e.TLP.String()...)
	b = append(b, `","op":"`...)
	b = append(b, e.Op...)
	b = append(b, `","id":`...)
	b = appendString(b, e.Object.ID())
	b = append(b, `,"event_id":`...)
	b = appendString(b, e.ID)
	b = append(b, `,"object":`...)
	b = append(b, e.Object.Raw()...)
	end := len(b)
	b = append(b, `,"context":`...)
	from := len(b)
	if b = e.Context.AppendJSON(b); len(b)-from == len("{}") { // empty
		b = b[:end]
	}
	return append(b, '}')
}

// appendString quotes s; ids and event ids need no escape in practice, so the common case copies.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e || s[i] == '"' || s[i] == '\\' {
			q, _ := json.Marshal(s) // a string cannot fail
			return append(b, q...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
