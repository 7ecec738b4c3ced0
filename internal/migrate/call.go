package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// answerLimit is how long a server may take for one answer.
const answerLimit = 30 * time.Second

// call is one request to the JetStream API, repeated while no server answers: during an election requests are dropped.
func call(ctx context.Context, nc *nats.Conn, subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, answerLimit/3)
		m, err := nc.RequestWithContext(try, subject, body)
		stop()
		if err != nil && ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
		return decode(m.Data, answer)
	}
}

func decode(data []byte, answer any) error {
	var refused struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(data, &refused); err != nil {
		return fmt.Errorf("answer of the server: %w", err)
	}
	if refused.Error != nil {
		return refused.Error
	}
	return json.Unmarshal(data, answer)
}
