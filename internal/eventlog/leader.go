package eventlog

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// question is the body of $JS.API.STREAM.MSG.GET. Unlike a direct get, which any replica answers from what it has so far, this is answered
// by the stream's leader: what it does not hold is not there.
type question struct {
	Seq    uint64 `json:"seq,omitempty"`
	LastOf string `json:"last_by_subj,omitempty"`
	NextOf string `json:"next_by_subj,omitempty"`
}

// ofLeader asks the leader of a stream for one message; false when there is none.
func ofLeader(ctx context.Context, nc *nats.Conn, stream string, q question) (*jetstream.RawStreamMsg, bool, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return nil, false, fmt.Errorf("stream %s: %w", stream, err)
	}
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  string    `json:"hdrs"`
			Data    string    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return nil, false, fmt.Errorf("stream %s: %w", stream, err)
	}
	if a.Error != nil {
		if a.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("stream %s: %w", stream, a.Error)
	}
	m := &jetstream.RawStreamMsg{Subject: a.Message.Subject, Sequence: a.Message.Seq, Time: a.Message.Time}
	if m.Data, err = base64.StdEncoding.DecodeString(a.Message.Data); err != nil {
		return nil, false, fmt.Errorf("stream %s: message %d: %w", stream, m.Sequence, err)
	}
	if a.Message.Header != "" {
		h, err := base64.StdEncoding.DecodeString(a.Message.Header)
		if err == nil {
			m.Header, err = nats.DecodeHeadersMsg(h)
		}
		if err != nil && !errors.Is(err, nats.ErrBadHeaderMsg) {
			return nil, false, fmt.Errorf("stream %s: message %d: %w", stream, m.Sequence, err)
		}
	}
	return m, true, nil
}

// nextOf returns the sequence of the first message at or after one that a filter matches, as the stream's leader holds it; false when there
// is none.
func nextOf(ctx context.Context, nc *nats.Conn, stream string, from uint64, filter []string) (uint64, bool, error) {
	if len(filter) == 0 {
		filter = []string{">"}
	}
	var first uint64
	for _, f := range filter {
		m, ok, err := ofLeader(ctx, nc, stream, question{Seq: max(from, 1), NextOf: f})
		if err != nil {
			return 0, false, err
		}
		if ok && (first == 0 || m.Sequence < first) {
			first = m.Sequence
		}
		if first == from {
			break
		}
	}
	return first, first > 0, nil
}
