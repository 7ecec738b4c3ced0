package eventlog

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// stored is an event as a feed's import stores it.
var stored = struct {
	subject string
	header  nats.Header
	data    []byte
}{
	"stix.v1.attack.clear.create.attack-pattern.7",
	nats.Header{
		HeaderMsgID: {"0123456789abcdef0123456789abcdef"}, HeaderID: {"attack-pattern--0a3ea1bd-9b4f-4d4c-8b3f-2d2c8d8f2a11"},
		HeaderModified: {"2025-04-15T19:58:01.218Z"}, HeaderContentType: {ContentType},
		HeaderContext: {`{"bundle":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","position":1234,"backfill":true}`},
	},
	[]byte(`{"type":"attack-pattern","spec_version":"2.1","id":"attack-pattern--0a3ea1bd-9b4f-4d4c-8b3f-2d2c8d8f2a11","created":"2020-05-21T17:43:26.506Z","modified":"2025-04-15T19:58:01.218Z","created_by_ref":"identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5","name":"Block Serial COM","description":"Adversaries may block access to serial COM to prevent instructions or configurations from reaching target devices. Serial Communication ports (COM) allow communication with control system devices. Devices can receive command and configuration messages over such serial COM.","kill_chain_phases":[{"kill_chain_name":"mitre-ics-attack","phase_name":"inhibit-response-function"}],"object_marking_refs":["marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168"],"x_mitre_domains":["ics-attack"],"x_mitre_platforms":["None"],"x_mitre_version":"1.1"}`),
}

func BenchmarkEventOfAStoredMessage(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(stored.data)))
	for b.Loop() {
		r, err := record(stored.subject, stored.header, stored.data)
		if err == nil {
			_, err = r.Event()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkContext(b *testing.B) {
	text := stored.header[HeaderContext][0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseContext(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntryMessage(b *testing.B) {
	r, err := record(stored.subject, stored.header, stored.data)
	if err != nil {
		b.Fatal(err)
	}
	e := Entry{Subject: r.Subject, ID: r.ID, EventID: r.EventID, Seq: 12345, Digest: r.EventID, Context: r.Context, Data: r.Data}
	b.ReportAllocs()
	for b.Loop() {
		if m := e.Message(); m.Subject == "" {
			b.Fatal("no subject")
		}
	}
}
