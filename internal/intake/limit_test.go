package intake_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
)

// Up to the limit an object travels in its event; one byte more, and it lives in the object store. Either way it is read back whole.
func TestObjectsOfExactlyTheLimitAndAByteMoreAreReadBackWhole(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{})
	empty := len(tool(t, "").Raw())
	for i, size := range []int{eventlog.MaxInline - 1, eventlog.MaxInline, eventlog.MaxInline + 1} {
		o := tool(t, strings.Repeat("x", size-empty))
		if len(o.Raw()) != size {
			t.Fatalf("made %d bytes, want %d", len(o.Raw()), size)
		}
		put(t, in, bridge.Change{Object: o})
		flush(t, in)
		r, ok, err := w.Log.Get(t.Context(), uint64(i+1))
		if err != nil || !ok || string(r.Data) != string(o.Raw()) {
			t.Fatalf("event of %d bytes: found %v, %d bytes, %v", size, ok, len(r.Data), err)
		}
		_, err = w.JS.ObjectStore(t.Context(), "stix_blobs_unmarked")
		if apart := err == nil; apart != (size > eventlog.MaxInline) {
			t.Errorf("%d bytes: in the object store %v (%v)", size, apart, err)
		}
	}
}

// Somebody removed the event log under a running producer: what says so names the subject, and nothing is taken for stored.
func TestAnEventThatNoStreamTakesIsAnErrorThatNamesItsSubject(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	if err := w.JS.DeleteStream(t.Context(), eventlog.StreamEvents); err != nil {
		t.Fatal(err)
	}
	const subject = "stix.v1.a.clear.create.tool.1"
	m := nats.NewMsg(subject)
	m.Header.Set(eventlog.HeaderMsgID, "one")
	if _, err := eventlog.Commit(t.Context(), w.b.Conn(), []*nats.Msg{m}); err == nil || !strings.Contains(err.Error(), subject) {
		t.Errorf("got %v, want an error that names %s", err, subject)
	}
}
