package bridgetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Must parses an object that the test wrote itself.
func Must(raw string) stix.Object {
	o, err := stix.Parse([]byte(raw))
	if err != nil {
		panic("bridgetest: " + err.Error() + ": " + raw)
	}
	return o
}

// NewEvent makes an event around an object. The id derives from the rest, so that the same event always has the same.
func NewEvent(seq uint64, op bridge.Op, o stix.Object) bridge.Event {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", seq, op, o.ID()))
	return bridge.Event{
		Seq: seq, Time: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).Add(time.Duration(seq) * time.Second), ID: hex.EncodeToString(sum[:16]),
		Producer: "feed", TLP: stix.Green, Op: op, Object: o, Attempt: 1,
	}
}

func id(typ string, n int) string { return fmt.Sprintf("%s--%08x-0000-4000-8000-%012x", typ, n, n) }

// Sample is a small log: objects of several types that are created, updated, merged, expire, are deleted and retracted; among them long and
// odd texts. Sequences rise with gaps, as they do behind gates.
func Sample() []bridge.Event {
	var (
		events []bridge.Event
		seq    uint64
	)
	add := func(op bridge.Op, c bridge.Context, raw string) {
		seq += 1 + seq%3
		e := NewEvent(seq, op, Must(raw))
		e.Context = c
		events = append(events, e)
	}
	indicator := func(n, score int) string {
		return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-11-01T00:00:00.000Z","modified":"2026-11-%02dT00:00:00.000Z",`+
			`"name":"203.0.113.%d","pattern":"[ipv4-addr:value = '203.0.113.%d']","pattern_type":"stix","valid_from":"2026-11-01T00:00:00Z","confidence":%d}`,
			id("indicator", n), 1+score%28, n, n, score)
	}
	observable := func(n int) string {
		return fmt.Sprintf(`{"type":"ipv4-addr","spec_version":"2.1","id":%q,"value":"198.51.100.%d"}`, id("ipv4-addr", n), n)
	}
	malware := func(n int, text string) string {
		quoted, _ := json.Marshal(text)
		return fmt.Sprintf(`{"type":"malware","spec_version":"2.1","id":%q,"created":"2026-11-01T00:00:00.000Z","modified":"2026-11-02T00:00:00.000Z",`+
			`"name":"sample %d","is_family":true,"description":%s,"x_unknown":{"keep":1.50}}`, id("malware", n), n, quoted)
	}
	relationship := func(n int) string {
		return fmt.Sprintf(`{"type":"relationship","spec_version":"2.1","id":%q,"created":"2026-11-01T00:00:00.000Z","modified":"2026-11-02T00:00:00.000Z",`+
			`"relationship_type":"indicates","source_ref":%q,"target_ref":%q}`, id("relationship", n), id("indicator", n), id("malware", n))
	}
	for n := 1; n <= 5; n++ {
		add(bridge.Create, bridge.Context{Bundle: id("bundle", 1), Position: n}, indicator(n, 10*n))
		add(bridge.Create, bridge.Context{}, malware(n, []string{"", "line one\nline two\t\"quoted\" \\ back", "ünïcödé   🦊 </script>", "\u0000\u001b[31m", strings.Repeat("long ", 60_000)}[n-1]))
		add(bridge.Create, bridge.Context{}, relationship(n))
		add(bridge.Create, bridge.Context{}, observable(n))
	}
	for n := 1; n <= 4; n++ {
		add(bridge.Update, bridge.Context{ReversePatch: json.RawMessage(`[{"op":"replace","path":"/confidence","value":10}]`)}, indicator(n, 10*n+1))
		add(bridge.Update, bridge.Context{}, indicator(n, 10*n+2))
	}
	add(bridge.Delete, bridge.Context{}, observable(1))
	add(bridge.Create, bridge.Context{}, observable(1))
	add(bridge.Expire, bridge.Context{Reason: "expired"}, indicator(2, 22))
	add(bridge.Retract, bridge.Context{Reason: "reclassified"}, indicator(3, 32))
	add(bridge.Merge, bridge.Context{Sources: []string{id("malware", 5)}}, malware(4, "merged"))
	add(bridge.Delete, bridge.Context{Reason: "merged", Into: id("malware", 4)}, malware(5, "swallowed"))
	return events
}

// Objects is a House of objects that Resolve finds by id.
type Objects map[string]stix.Object

// Before knows nothing.
func (Objects) Before(context.Context, bridge.Event) (stix.Object, bool, error) {
	return stix.Object{}, false, nil
}

// Resolve looks the reference up.
func (h Objects) Resolve(_ context.Context, _ bridge.Event, ref string) (stix.Object, bool, error) {
	o, ok := h[ref]
	return o, ok, nil
}
