package eventlog

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// live is the header of an event that a live stream brought.
var live = nats.Header{
	HeaderMsgID: {"0123456789abcdef0123456789abcdef"}, HeaderID: {"attack-pattern--0a3ea1bd-9b4f-4d4c-8b3f-2d2c8d8f2a11"},
	HeaderModified: {"2025-04-15T19:58:01.218Z"}, HeaderContentType: {ContentType},
	HeaderContext: {`{"origin":{"platform":"0b1f7c52-6d1e-5f0a-9a6b-5a3f2f3c1d01","user":"88ec0c6a-13ce-5e39-b486-354fe4a7084f"},"prev":1234,"source_event":"0123456789abcdef0123456789abcdef"}`},
}

// BenchmarkEventOfALiveStream reads what a live stream brought, with its origin.
func BenchmarkEventOfALiveStream(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(stored.data)))
	for b.Loop() {
		r, err := record(stored.subject, live, stored.data)
		if err == nil {
			_, err = r.Event()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// What is only passed on is not decoded: an event costs the head of its object, whatever the object holds.
func TestAStoredMessageBecomesAnEventWithOneAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(200, func() {
		r, err := record(stored.subject, stored.header, stored.data)
		if err == nil {
			_, err = r.Event()
		}
		if err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations an event, want 1", n)
	}
}
