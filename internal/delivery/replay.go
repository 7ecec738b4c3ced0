package delivery

import (
	"context"

	"github.com/stixbridge/stixbridge/bridge"
)

// Order is a replay that was asked for.
type Order struct {
	ID string `json:"id"`
}

type replaying struct{ progress bridge.ProgressStatus }

func (r *Runner) resumeReplays(ctx context.Context) {}
