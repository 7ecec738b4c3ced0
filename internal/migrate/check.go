package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// samples is how many messages of a stream are compared unless all are.
const samples = 1000

// ErrDiffers says that a copy is not what it was made of.
var ErrDiffers = errors.New("the copy differs")

// side is a stream at one server.
type side struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	name string
}

func (s side) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	st, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.name, err)
	}
	return st.CachedInfo(), nil
}

// compare holds a copy against what it was made of: the numbers, and messages spread evenly over it or all of them. Both may be expiring
// old messages meanwhile, each by its own timer; so it tries for a while.
func compare(ctx context.Context, source, copied side, all bool) error {
	for begun := time.Now(); ; {
		err := compareOnce(ctx, source, copied, all)
		if !errors.Is(err, ErrDiffers) || time.Since(begun) > 10*time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func compareOnce(ctx context.Context, source, copied side, all bool) error {
	a, err := source.info(ctx)
	if err != nil {
		return err
	}
	b, err := copied.info(ctx)
	if err != nil {
		return err
	}
	x, y := a.State, b.State
	if x.LastSeq != y.LastSeq || x.Msgs != y.Msgs || x.Msgs > 0 && x.FirstSeq != y.FirstSeq || x.NumSubjects != y.NumSubjects {
		return fmt.Errorf("stream %s: %w: %d messages of %d subjects from %d to %d here, %d of %d from %d to %d there",
			source.name, ErrDiffers, x.Msgs, x.NumSubjects, x.FirstSeq, x.LastSeq, y.Msgs, y.NumSubjects, y.FirstSeq, y.LastSeq)
	}
	if x.Msgs == 0 {
		return nil
	}
	n := x.LastSeq - x.FirstSeq + 1
	picks := n
	if !all {
		picks = min(n, samples)
	}
	var next atomic.Uint64
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < picks; i = next.Add(1) - 1 {
				seq := x.LastSeq // the last one is always compared, and so is the first
				if picks > 1 {
					seq = x.FirstSeq + uint64(float64(n-1)*float64(i)/float64(picks-1))
				}
				which := map[string]any{"seq": seq}
				m, err := fetch(ctx, source.nc, source.name, which)
				if err != nil {
					return fmt.Errorf("stream %s: %w", source.name, err)
				}
				o, err := fetch(ctx, copied.nc, copied.name, which)
				if err != nil {
					return fmt.Errorf("stream %s: %w", copied.name, err)
				}
				if !m.equal(o) {
					return fmt.Errorf("stream %s: %w at message %d", source.name, ErrDiffers, seq)
				}
			}
			return nil
		})
	}
	return g.Wait()
}
