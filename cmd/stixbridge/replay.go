package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nuid"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

type replayCmd struct {
	Consumer string `arg:"" help:"Name of the consumer."`
	filter
	span
	Until  string `help:"Up to this time: 1h, 7d, or RFC 3339." placeholder:"TIME"`
	ToSeq  uint64 `name:"to-seq" help:"Up to this sequence." placeholder:"N"`
	Exact  bool   `help:"Event by event instead of each object once in its current state; not for targets that mirror state."`
	DryRun bool   `help:"Say what would be looked at, deliver nothing."`
	Rate   int    `help:"Most events a second (default: the consumer's replay_rate)." placeholder:"N"`
}

// Help shows an example.
func (replayCmd) Help() string {
	return "Example: stixbridge replay soc --since 24h --type indicator"
}

func (c *replayCmd) Run(a *app) error {
	pass, err := c.compile()
	if err != nil {
		return err
	}
	at, cfg, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	if err := named(cfg, c.Consumer); err != nil {
		return err
	}
	for _, k := range cfg.Consumers {
		if k.Name == c.Consumer && c.Exact && k.Traits.State {
			return wrong(fmt.Errorf("%s mirrors state: an older version must not overwrite a newer one; replay without --exact", c.Consumer))
		}
	}
	o := delivery.Order{ID: nuid.Next(), Exact: c.Exact, Rate: c.Rate}
	if !c.empty() {
		if o.Spec, err = json.Marshal(c.spec()); err != nil {
			return err
		}
	}
	if o.From, o.To, err = c.bounds(a.ctx, at.Store().Log); err != nil {
		return err
	}
	if c.DryRun {
		return c.dry(a, at.Store().Log, o, pass)
	}
	order := at.Replay
	if at.Running {
		order = at.Remote.Replay
	}
	return at.While(a.ctx, []string{c.Consumer}, func(ctx context.Context) error {
		if err := order(ctx, c.Consumer, o); err != nil {
			return err
		}
		for {
			done, err := engine.ReplayDone(ctx, at.Store(), c.Consumer, o.ID)
			if err != nil {
				return fmt.Errorf("the bridge went away (%w); the replay goes on when it runs again", err)
			}
			if done {
				fmt.Fprintf(a.out, "%s: replay of %d to %d is through\n", c.Consumer, o.From, o.To)
				return nil
			}
			if s, err := at.StoreStatus(ctx); err == nil && a.terminal() {
				if p := progress(s, c.Consumer); p != nil {
					fmt.Fprintf(a.errs, "\r%s: %d of %d %s ", c.Consumer, p.Done, p.Total, p.Unit)
				}
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w; the replay goes on when the bridge runs", context.Cause(ctx))
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

func progress(s bridge.Status, consumer string) *bridge.ProgressStatus {
	for _, k := range s.Consumers {
		if k.Name == consumer {
			return k.Replay
		}
	}
	return nil
}

// bounds are the first and last sequence of the span.
func (c *replayCmd) bounds(ctx context.Context, log *eventlog.Log) (from, to uint64, err error) {
	first, last, err := log.Bounds(ctx)
	if err != nil {
		return 0, 0, err
	}
	from, to = max(first, c.FromSeq), last
	if c.Since != "" {
		t, err := when(c.Since)
		if err != nil {
			return 0, 0, err
		}
		seq, err := log.SeqAt(ctx, t)
		if err != nil {
			return 0, 0, err
		}
		from = max(from, seq+1)
	}
	if c.ToSeq > 0 {
		to = min(to, c.ToSeq)
	}
	if c.Until != "" {
		t, err := when(c.Until)
		if err != nil {
			return 0, 0, err
		}
		seq, err := log.SeqAt(ctx, t)
		if err != nil {
			return 0, 0, err
		}
		to = min(to, seq)
	}
	if c.Since == "" && c.FromSeq == 0 && c.Until == "" && c.ToSeq == 0 {
		return 0, 0, wrong(errors.New("replay: say which span: --since 24h, or --from-seq N; --from-seq 1 is everything"))
	}
	return from, to, nil
}

func (c *replayCmd) dry(a *app, log *eventlog.Log, o delivery.Order, pass func(bridge.Event) bool) error {
	events, objects := 0, map[string]bool{}
	if o.From <= o.To {
		err := log.Read(a.ctx, "dry-run", o.From, eventlog.ReadOptions{To: o.To}, func(r eventlog.Record) error {
			e, err := r.Event()
			if err == nil && pass(e) {
				events++
				objects[r.ID] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, "%s: %d events of %d objects between %d and %d; the consumer's gates decide what it gets\n", c.Consumer, events, len(objects), o.From, o.To)
	return nil
}
