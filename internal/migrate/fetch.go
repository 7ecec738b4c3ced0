package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// fetch returns one message by the word of the stream's leader; the zero message when there is none.
func fetch(ctx context.Context, nc *nats.Conn, stream string, which map[string]any) (m message, err error) {
	var answer struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	err = call(ctx, nc, "$JS.API.STREAM.MSG.GET."+stream, which, &answer)
	if isCode(err, jetstream.JSErrCodeMessageNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	r := answer.Message
	m = message{subject: r.Subject, seq: r.Seq, at: r.Time, data: r.Data}
	if len(r.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(r.Header)
		if err != nil {
			return m, fmt.Errorf("headers of message %d: %w", r.Seq, err)
		}
		m.header = wire(h)
	}
	return m, nil
}

func isCode(err error, code jetstream.ErrorCode) bool {
	var a *jetstream.APIError
	return errors.As(err, &a) && a.ErrorCode == code
}

func (m message) equal(o message) bool {
	return m.subject == o.subject && m.seq == o.seq && m.at.Equal(o.at) && bytes.Equal(m.header, o.header) && bytes.Equal(m.data, o.data)
}
