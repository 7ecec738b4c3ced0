// Package contract describes what subscribers and targets receive, for programs: a JSON Schema of events and an AsyncAPI document. Both
// are published in docs/schema and made from here, so that names and values are those of the code.
package contract

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/oasdiff/yaml"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/subscriber"
	"github.com/stixbridge/stixbridge/stix"
)

// ID of the published schema.
const ID = "https://github.com/stixbridge/stixbridge/docs/schema/event.schema.json"

type object = map[string]any

func levels() (all []string) {
	for t := stix.Unmarked; t <= stix.Red; t++ {
		all = append(all, t.String())
	}
	return all
}

// ops are the operations of contract v1 and what they mean.
var ops = []struct {
	op   bridge.Op
	text string
}{
	{bridge.Create, "the producer asserts this object for the first time, or again after a delete"},
	{bridge.Update, "other content, or another TLP; a revoked object is an update"},
	{bridge.Delete, "the producer no longer asserts it; the body is the last known version"},
	{bridge.Merge, "others were merged into this object; their ids are in the context's sources"},
	{bridge.Expire, "valid_until has passed"},
	{bridge.Retract, "whoever holds this object from these subject tokens must drop it"},
}

func opNames() (all []string) {
	for _, o := range ops {
		all = append(all, string(o.op))
	}
	return all
}

func opText() (text string) {
	for _, o := range ops {
		text += fmt.Sprintf("%s: %s. ", o.op, o.text)
	}
	return text + "After delete, expire and retract, a copy of the object must be dropped."
}

func str(description string) object {
	return object{"type": "string", "description": description}
}

func pattern(p, description string) object {
	return object{"type": "string", "pattern": p, "description": description}
}

func list(description string) object {
	return object{"type": "array", "items": object{"type": "string"}, "description": description}
}

func count(description string) object {
	return object{"type": "integer", "minimum": 0, "description": description}
}

func truth(description string) object {
	return object{"type": "boolean", "description": description}
}

const (
	producerForm = "[a-z0-9][a-z0-9-]*"
	typeForm     = "[a-z0-9-]{1,250}"
	idForm       = "^" + typeForm + "--.+$"
)

func alternatives(all []string) (p string) {
	for i, s := range all {
		if i > 0 {
			p += "|"
		}
		p += s
	}
	return "(" + p + ")"
}

// context describes bridge.Context; a test holds the names against the struct.
func context() object {
	return object{
		"type": "object", "description": "What an event carries beside the object (header " + eventlog.HeaderContext + ", at most 16 KiB). Members that a reader does not know are ignored.",
		"properties": object{
			"reason": str("of a retract, delete or expire: reclassified, renamed, left_filter, merged, expired, gate"),
			"reverse_patch": object{"type": "array", "description": "RFC 6902: from this version to the one before; left out where that one has a higher TLP", "items": object{
				"type": "object", "required": []string{"op", "path"},
				"properties": object{"op": object{"enum": []string{"add", "remove", "replace", "move", "copy", "test"}}, "path": object{"type": "string"}, "from": object{"type": "string"}},
			}},
			"sources":  list("ids that a merge swallowed"),
			"new_id":   str("of a rename: the object's new id"),
			"into":     str("of a delete by merge: the id that stays"),
			"bundle":   str("id of the bundle that held the object"),
			"position": count("index of the object in its bundle, from 0"),
			"origin": object{"type": "object", "description": "platform that the object came from", "properties": object{
				"platform": str("UUIDv5 of the platform's URL"), "user": str("user of the platform who made the change"), "referer": str("init-create or init-dependencies"),
			}},
			"backfill":     truth("recovered or first-import event, not news"),
			"hops":         list("enrichers that this knowledge went through"),
			"prev":         count("sequence of this object's previous event from this producer"),
			"cause":        count("of a retract by a gate: sequence of the event that caused it"),
			"cause_id":     str("and its event id"),
			"source_event": str("identity of the event at the source, where sources repeat themselves"),
			"next":         truth("of a retract: the object's new version is the next event in the log"),
		},
	}
}

// headers describes the headers of a message.
func headers() object {
	return object{
		"type": "object", "description": "Headers of the message. NATS keeps their case. Others are JetStream's or the bridge's own: ignore them.",
		"required": []string{eventlog.HeaderMsgID, eventlog.HeaderID, eventlog.HeaderContentType},
		"properties": object{
			eventlog.HeaderMsgID:       pattern("^[!-~]+$", "event id: the same for each repetition of the event, another for another change"),
			eventlog.HeaderID:          pattern(idForm, "STIX id of the object"),
			eventlog.HeaderModified:    str("the object's modified, where it has one"),
			eventlog.HeaderContentType: object{"const": eventlog.ContentType},
			eventlog.HeaderContext: object{"type": "string", "maxLength": bridge.MaxContext, "contentMediaType": "application/json", "contentSchema": object{"$ref": "#/$defs/context"},
				"description": "see #/$defs/context; missing when there is nothing to say"},
			eventlog.HeaderBlob: pattern("^stix_blobs_"+alternatives(levels())+"/[0-9a-f]{64}$", "where the whole of a large object is; the body is its head. Ask "+subscriber.APIPrefix+".BLOB for it; the name is the SHA-256 of the content"),
			"traceparent":       str("W3C trace context"),
		},
	}
}

// Event is the JSON Schema of an event: as a line (tap, file, webhook) at the root, as a NATS message in its parts.
func Event() ([]byte, error) {
	level := object{"enum": levels(), "description": "Traffic Light Protocol level of the subject; unmarked counts as amber"}
	op := object{"enum": opNames(), "description": opText()}
	stixObject := object{
		"type": "object", "description": "The STIX 2.1 object, as it came: properties, their order and numbers are untouched.",
		"required":   []string{"type", "id"},
		"properties": object{"type": pattern("^"+typeForm+"$", "STIX type"), "id": pattern(idForm, "STIX id")},
	}
	root := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": ID, "title": "stixbridge event, version 1",
		"description": "One line of tap and of the file sink, one item of a webhook. A NATS message has the same in its subject ($defs/subject), headers ($defs/headers) and body ($defs/object). Members that a reader does not know are ignored.",
		"type":        "object", "required": []string{"seq", "time", "producer", "tlp", "op", "id", "event_id", "object"},
		"properties": object{
			"seq":      object{"type": "integer", "minimum": 1, "description": "place in the log, and the version: of two events of one object the higher one is newer"},
			"time":     object{"type": "string", "format": "date-time", "description": "when the log stored it, UTC"},
			"producer": pattern("^"+producerForm+"$", "name of the producer that saw it"),
			"tlp":      object{"$ref": "#/$defs/tlp"},
			"op":       object{"$ref": "#/$defs/op"},
			"id":       pattern(idForm, "STIX id of the object"),
			"event_id": str("the Nats-Msg-Id: the same for each repetition of the event"),
			"object":   object{"$ref": "#/$defs/object"},
			"context":  object{"$ref": "#/$defs/context"},
		},
		"$defs": object{
			"tlp": level, "op": op, "object": stixObject, "context": context(), "headers": headers(),
			"subject": pattern(`^stix\.v1\.`+producerForm+`\.`+alternatives(levels())+`\.`+alternatives(opNames())+`\.`+typeForm+`\.[0-9]+$`, "subject of the message"),
			"message": object{
				"type": "object", "description": "A NATS message, its context and body decoded.", "required": []string{"subject", "headers", "body"},
				"properties": object{"subject": object{"$ref": "#/$defs/subject"}, "headers": object{"$ref": "#/$defs/headers"}, "body": object{"$ref": "#/$defs/object"}, "context": object{"$ref": "#/$defs/context"}},
			},
		},
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return b.Bytes(), err
}

// AsyncAPI describes how a subscriber receives events and asks for large payloads.
func AsyncAPI() ([]byte, error) {
	ref := func(at string) object {
		return object{"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": object{"$ref": "./event.schema.json" + at}}
	}
	to := func(at string) object { return object{"$ref": "#/" + at} }
	text, err := yaml.Marshal(object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "stixbridge events", "version": "1", "license": object{"name": "Apache-2.0"},
			"description": "STIX 2.1 change events over NATS, for a subscriber with an account of its own. Events are pulled from the durable consumer <subscriber> on stream STIX, with the API prefix " +
				subscriber.APIPrefix + " in the place of $JS.API, and acknowledged one by one. docs/subscribe.md shows clients.",
		},
		"defaultContentType": "application/json",
		"servers": object{"bridge": object{"host": "bridge.example.org:4222", "protocol": "nats", "description": "Address, user and password are in the credentials file.",
			"security": []any{to("components/securitySchemes/login")}}},
		"channels": object{
			"events": object{
				"address":     "stix.v1.{producer}.{tlp}.{op}.{type}.{partition}",
				"description": "Subjects of the events. A subscriber receives those within its ceiling.",
				"parameters": object{
					"producer":  object{"description": "name of the producer that saw the change"},
					"tlp":       object{"enum": levels(), "description": "strictest TLP of the object"},
					"op":        object{"enum": opNames(), "description": opText()},
					"type":      object{"description": "STIX type of the object"},
					"partition": object{"description": "0 to 15 by default: 32-bit FNV-1a of the STIX id, modulo the number of partitions"},
				},
				"messages": object{"event": to("components/messages/event")},
			},
			"pull": object{"address": subscriber.APIPrefix + ".CONSUMER.MSG.NEXT." + eventlog.StreamEvents + ".{subscriber}", "description": "JetStream pull request; client libraries make it.",
				"parameters": object{"subscriber": object{"description": "its name"}}, "messages": object{"request": to("components/messages/pullRequest")}},
			"acknowledge": object{"address": "$JS.ACK." + eventlog.StreamEvents + ".{subscriber}.{delivery}", "description": "The reply subject of the event; client libraries publish to it.",
				"parameters": object{"subscriber": object{"description": "its name"}, "delivery": object{"description": "five tokens of the server"}}, "messages": object{"ack": to("components/messages/ack")}},
			"payload": object{"address": subscriber.APIPrefix + ".BLOB", "description": "Parts of an object over 4 MiB.",
				"messages": object{"question": to("components/messages/payloadQuestion"), "part": to("components/messages/payloadPart")}},
		},
		"operations": object{
			"pullEvents":    object{"action": "send", "channel": to("channels/pull"), "messages": []any{to("channels/pull/messages/request")}},
			"receiveEvents": object{"action": "receive", "channel": to("channels/events"), "messages": []any{to("channels/events/messages/event")}},
			"acknowledge":   object{"action": "send", "channel": to("channels/acknowledge"), "messages": []any{to("channels/acknowledge/messages/ack")}},
			"fetchPayload": object{"action": "send", "channel": to("channels/payload"), "messages": []any{to("channels/payload/messages/question")},
				"reply": object{"address": object{"location": "$message.header#/reply", "description": "inbox of the request"}, "channel": to("channels/payload"), "messages": []any{to("channels/payload/messages/part")}}},
		},
		"components": object{
			"securitySchemes": object{"login": object{"type": "userPassword"}},
			"messages": object{
				"event":       object{"title": "STIX 2.1 change event", "contentType": eventlog.ContentType, "headers": ref("#/$defs/headers"), "payload": ref("#/$defs/object")},
				"pullRequest": object{"payload": object{"type": "object", "properties": object{"batch": object{"type": "integer"}, "expires": object{"type": "integer", "description": "nanoseconds, at most five minutes"}, "no_wait": object{"type": "boolean"}, "idle_heartbeat": object{"type": "integer"}, "max_bytes": object{"type": "integer"}}}},
				"ack":         object{"contentType": "text/plain", "payload": object{"type": "string", "enum": []string{"+ACK", "-NAK", "+WPI", "+TERM"}}},
				"payloadQuestion": object{"contentType": "text/plain", "payload": object{"type": "string",
					"description": "the value of " + eventlog.HeaderBlob + "; for a further part a space and the " + subscriber.HeaderBlobNext + " of the part before"}},
				"payloadPart": object{"contentType": "application/octet-stream", "headers": object{"type": "object", "properties": object{
					subscriber.HeaderBlobSize: object{"type": "string", "description": "bytes of the whole"},
					subscriber.HeaderBlobNext: object{"type": "string", "description": "missing in the last part"},
					"Nats-Service-Error":      object{"type": "string", "description": "in the place of a part"},
				}}},
			},
		},
	})
	return append([]byte("# Made by `go generate ./internal/subscriber/contract`; not to be edited.\n"), text...), err
}
