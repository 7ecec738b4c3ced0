package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// MaxBatch is the most messages the server takes in one atomic batch; MaxBatchBytes is what we put into one.
const (
	MaxBatch      = 1000
	MaxBatchBytes = 4 << 20
)

// Errors of a commit.
var (
	// ErrFenced: the log holds a message that this writer did not expect; another writer was here.
	ErrFenced = errors.New("another writer has published since")
	// ErrUnknown: no answer came; the batch is stored or it is not.
	ErrUnknown = errors.New("no answer to a commit")
	// ErrBusy: the server has too many open batches; nothing was stored.
	ErrBusy = errors.New("server is busy")
	// ErrFull: the stream is at its limit and refuses new messages; nothing was stored.
	ErrFull = errors.New("stream is full")
)

const (
	codeWrongLast     = 10071
	codeWrongLastNow  = 10164 // the same, by a cluster that has another write of the subject under way
	codeFull          = 10077
	codeBatchBusy     = 10210
	codeBatchDup      = 10201
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

type pubAck struct {
	Stream string              `json:"stream"`
	Seq    uint64              `json:"seq"`
	Count  int                 `json:"count"`
	Error  *jetstream.APIError `json:"error"`
}

// Commit stores messages as one atomic batch (all or nothing, contiguous) and returns the sequence of the last one. One message goes out
// alone. It blocks until the server answered, or ctx ends; then the outcome is unknown (ErrUnknown).
// The messages' headers are changed.
func Commit(ctx context.Context, nc *nats.Conn, msgs []*nats.Msg) (uint64, error) {
	switch len(msgs) {
	case 0:
		return 0, nil
	case 1:
		return request(ctx, nc, msgs[0])
	}
	if len(msgs) > MaxBatch {
		return 0, fmt.Errorf("batch of %d messages: at most %d", len(msgs), MaxBatch)
	}
	id := nuid.Next()
	for i, m := range msgs {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header[headerBatchID] = []string{id}
		m.Header[headerBatchSeq] = []string{strconv.Itoa(i + 1)}
		if i == len(msgs)-1 {
			m.Header[headerBatchCommit] = []string{"1"}
			return request(ctx, nc, m)
		}
		if err := nc.PublishMsg(m); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	panic("unreachable")
}

func request(ctx context.Context, nc *nats.Conn, m *nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	r, err := nc.RequestMsgWithContext(ctx, m)
	if errors.Is(err, nats.ErrNoResponders) {
		return 0, fmt.Errorf("%w: no stream takes %s now", ErrBusy, m.Subject)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	var a pubAck
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return 0, fmt.Errorf("answer to a commit: %w", err)
	}
	if a.Error == nil {
		return a.Seq, nil
	}
	switch int(a.Error.ErrorCode) {
	case codeWrongLast, codeWrongLastNow:
		return 0, fmt.Errorf("%w: %w", ErrFenced, a.Error)
	case codeBatchBusy:
		return 0, fmt.Errorf("%w: %w", ErrBusy, a.Error)
	case codeFull:
		return 0, fmt.Errorf("%w: %w", ErrFull, a.Error)
	}
	if a.Error.Code == 429 || a.Error.Code == 503 {
		return 0, fmt.Errorf("%w: %w", ErrBusy, a.Error)
	}
	return 0, a.Error
}

// Fence makes a commit conditional: the producer's last event in the log must be the given one (0: it has none).
func Fence(m *nats.Msg, producer string, last uint64) {
	m.Header[headerLastSubjectSeq] = []string{strconv.FormatUint(last, 10)}
	m.Header[headerLastSubject] = []string{Prefix + producer + ".>"}
}
