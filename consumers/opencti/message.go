package opencti

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/amqp"
)

// envelope is what the bodies of one call's messages have in common. A body is one JSON object in the form that the platform's worker
// reads; its entities_types is never null, which would make the worker drop the message.
type envelope struct{ before, between []byte }

func (s *sink) envelope(ses *session) envelope {
	user, _ := json.Marshal(ses.user) // texts cannot fail
	var e envelope
	e.before = append(append(append(e.before, `{"bundle_type":"QUEUE_BUNDLE","applicant_id":`...), user...), `,"action_sequence":`...)
	e.between = append(strconv.AppendBool(append(e.between, `","update":`...), s.Update), `,"draft_id":null,"no_split":false,"work_id":`...)
	return e
}

// message is the n-th of a call, from 1.
func (e envelope) message(batch []bridge.Event, one piece, n int) amqp.Message {
	work, _ := json.Marshal(one.work.id)
	b := make([]byte, 0, len(e.before)+len(e.between)+len(work)+base64.StdEncoding.EncodedLen(len(one.bundle))+64)
	b = strconv.AppendInt(append(b, e.before...), int64(n), 10)
	b = append(b, `,"entities_types":[],"content":"`...)
	b = base64.StdEncoding.AppendEncode(b, one.bundle)
	b = append(append(append(b, e.between...), work...), '}')
	return amqp.Message{ID: messageID(batch, one), Body: b}
}

// messageID is the same whenever the same content is sent again for the same reason.
func messageID(batch []bridge.Event, one piece) string {
	h := sha256.New()
	if one.card.event >= 0 {
		h.Write([]byte(batch[one.card.event].ID))
	}
	h.Write(one.bundle)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
