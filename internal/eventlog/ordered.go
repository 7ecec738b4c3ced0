package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// ordered reads one stream in its order, through ordered consumers: in memory, without acknowledgements, on one replica. That replica may
// be behind the stream, or gone; what is left to read is therefore asked of the stream's leader, never of the consumer.
type ordered struct {
	nc     *nats.Conn
	stream jetstream.Stream
	name   string   // begins the consumers' names
	filter []string // nil: everything
	heads  bool
	at     uint64 // everything up to here was yielded, or is not in the filter
}

// quietAfter is how long a reader waits for a message before it asks the leader whether there is one. A reader that has not got it after
// another such time begins again, on another replica where its own is gone.
const quietAfter = time.Second

// until yields what the stream holds up to a sequence.
func (o *ordered) until(ctx context.Context, end uint64, yield func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	if done, err := o.done(ctx, end); done || err != nil {
		return err
	}
	return o.read(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		if meta.Sequence.Stream > end {
			return true, nil
		}
		if err := yield(m, meta); err != nil {
			return true, err
		}
		if meta.Sequence.Stream == end {
			return true, nil
		}
		if meta.NumPending == 0 {
			o.at = meta.Sequence.Stream
			return o.done(ctx, end)
		}
		return false, nil
	}, func() (done, behind bool, err error) {
		done, err = o.done(ctx, end)
		return done, !done, err
	})
}

func (o *ordered) done(ctx context.Context, end uint64) (bool, error) {
	next, ok, err := nextOf(ctx, o.nc, o.stream.CachedInfo().Config.Name, o.at+1, o.filter)
	return err == nil && (!ok || next > end), err
}

// follow yields what the stream holds and what comes, until ctx ends; mark is told how far there is nothing in the filter.
func (o *ordered) follow(ctx context.Context, mark func(uint64) error, yield func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	return o.read(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		err := yield(m, meta)
		return err != nil, err
	}, func() (done, behind bool, err error) {
		i, err := o.stream.Info(ctx)
		if err != nil || i.State.LastSeq <= o.at {
			return false, false, nil // an error: the next time will do
		}
		next, ok, err := nextOf(ctx, o.nc, i.Config.Name, o.at+1, o.filter)
		if err != nil {
			return false, false, nil
		}
		passed := i.State.LastSeq
		if ok {
			passed = min(passed, next-1)
		}
		if passed > o.at {
			o.at = passed
			if mark != nil {
				if err := mark(passed); err != nil {
					return true, false, err
				}
			}
		}
		return false, ok, nil
	})
}

// read opens consumers until each says that it is done, or ctx ends. quiet is asked whenever nothing came for a while: whether the reader is
// done, and whether there is something that it should have got.
func (o *ordered) read(ctx context.Context, each func(jetstream.Msg, *jetstream.MsgMetadata) (done bool, err error), quiet func() (done, behind bool, err error)) error {
	for {
		again, err := o.session(ctx, each, quiet)
		if !again || err != nil {
			return err
		}
	}
}

func (o *ordered) session(ctx context.Context, each func(jetstream.Msg, *jetstream.MsgMetadata) (bool, error), quiet func() (bool, bool, error)) (again bool, err error) {
	id := nuid.Next()
	c, err := o.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: o.filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: o.at + 1, HeadersOnly: o.heads,
		NamePrefix:        o.name + "-" + id[len(id)-6:], // a name of its own: a consumer that still exists would be taken over where it stands
		InactiveThreshold: 30 * time.Second,
	})
	if err != nil {
		return false, o.wrap(err)
	}
	forget := func() {
		if i := c.CachedInfo(); i != nil {
			gone, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = o.stream.DeleteConsumer(gone, i.Name) // else it goes by itself after the threshold
		}
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(1000, 8<<20))
	if err != nil {
		forget()
		return false, o.wrap(err)
	}
	defer func() { it.Stop(); go forget() }()
	wait := &period{parent: ctx}
	defer wait.stop()
	late := false
	for {
		now := wait.current()
		m, err := it.Next(jetstream.NextContext(now))
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case now.Err() != nil:
			done, behind, err := quiet()
			if done || err != nil {
				return false, err
			}
			if behind && late {
				return true, nil
			}
			late = behind
			continue
		default:
			return false, o.wrap(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return false, o.wrap(err)
		}
		late = false
		if done, err := each(m, meta); done || err != nil {
			return false, err
		}
		o.at = meta.Sequence.Stream
	}
}

func (o *ordered) wrap(err error) error {
	return fmt.Errorf("read stream %s: %w", o.stream.CachedInfo().Config.Name, err)
}

// period is a context that ends every quietAfter: one deadline for many messages, since making one costs as much as reading a message.
type period struct {
	parent context.Context
	ctx    context.Context
	cancel context.CancelFunc
}

func (p *period) current() context.Context {
	if p.ctx == nil || p.ctx.Err() != nil {
		p.stop()
		p.ctx, p.cancel = context.WithTimeout(p.parent, quietAfter)
	}
	return p.ctx
}

func (p *period) stop() {
	if p.cancel != nil {
		p.cancel()
	}
}
