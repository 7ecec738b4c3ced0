package bridge

import (
	"encoding/json"
	"testing"
)

func FuzzContextIsWrittenAsEncodingJSONWritesIt(f *testing.F) {
	f.Add("", "", "", "", 0, uint64(0), false, "")
	f.Add("reclassified", "tool--1", `[{"op":"replace", "path":"/name","value":"<a>"}]`, "ä\n<&>\u2028", -3, uint64(7), true, "u")
	f.Fuzz(func(t *testing.T, reason, id, patch, text string, position int, prev uint64, yes bool, user string) {
		c := Context{Reason: reason, NewID: id, Into: text, Bundle: user, Position: position, Prev: prev, Cause: prev / 2, CauseID: id, Backfill: yes, Next: !yes, SourceEvent: text}
		if json.Valid([]byte(patch)) {
			c.ReversePatch = json.RawMessage(patch)
		}
		if text != "" {
			c.Sources, c.Hops = []string{text, id}, []string{user}
		}
		if yes {
			c.Origin = &Origin{Platform: id, User: user, Referer: text}
		}
		want, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.JSON(); string(got) != string(want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
