package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience is how long the copies on the other servers may make no progress.
const patience = 2 * time.Minute

// settle waits until every server of a stream's group has all of it. The leader's word alone is not enough: right after a restore it says of
// servers without a single message that they are current. So the stream's last message is read from each server, which answers from its own copy.
func settle(ctx context.Context, s side, servers []*nats.Conn) error {
	var why error
	for begun, calm := time.Now(), 0; calm < 3; {
		if why = settled(ctx, s, servers); why == nil {
			calm++
		} else {
			calm = 0
		}
		if why != nil && time.Since(begun) > patience {
			return fmt.Errorf("stream %s is not on all of its servers after %v: %w", s.name, patience, why)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func settled(ctx context.Context, s side, servers []*nats.Conn) error {
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	if info.Config.Replicas <= 1 {
		return nil
	}
	if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) < info.Config.Replicas-1 {
		return fmt.Errorf("it has no leader, or too few servers")
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline {
			return fmt.Errorf("server %s is %d operations behind", r.Name, r.Lag)
		}
	}
	last, err := lastMessage(ctx, s.nc, s.name)
	if err != nil || last == 0 || !info.Config.AllowDirect {
		return err
	}
	for _, nc := range servers {
		js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(5*time.Second))
		if err != nil {
			return err
		}
		st, err := js.Stream(ctx, s.name)
		if err != nil {
			return err
		}
		if _, err := st.GetMsg(ctx, last); err != nil {
			return fmt.Errorf("server %s: message %d: %w", nc.ConnectedServerName(), last, err)
		}
	}
	return nil
}
