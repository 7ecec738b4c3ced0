package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
	"github.com/stixbridge/stixbridge/stix"
)

// The running bridge takes orders on stixbridge.v1.ctl.<verb>, as a NATS micro service: nats micro info stixbridge.
const ctl = "stixbridge.v1.ctl"

// ErrUnknown says that a name is not one that runs here.
var ErrUnknown = errors.New("no such consumer")

// paused is the record paused.<consumer>.
type paused struct {
	By   string    `json:"by"`
	Time time.Time `json:"time"`
}

// Pause stops deliveries to a consumer until Resume, also across restarts; its position stays.
func Pause(ctx context.Context, s *eventlog.Store, consumer, by string) error {
	_, err := s.State.Put(ctx, "paused."+consumer, paused{by, time.Now().UTC()})
	return err
}

// Resume ends Pause.
func Resume(ctx context.Context, s *eventlog.Store, consumer string) error {
	return s.State.Delete(ctx, "paused."+consumer)
}

// request is the body of an order.
type request struct {
	Name   string          `json:"name,omitempty"`
	Replay *delivery.Order `json:"replay,omitempty"`
	Letter uint64          `json:"letter,omitempty"`
	With   []byte          `json:"with,omitempty"` // repaired object for a letter of the intake
}

// answer is what comes back.
type answer struct {
	Status *bridge.Status `json:"status,omitempty"`
	Text   string         `json:"text,omitempty"`
}

// control obeys pause records and orders until ctx ends.
func (e *Engine) control(ctx context.Context) error {
	svc, err := micro.AddService(e.b.Conn(), micro.Config{
		Name: "stixbridge", Version: "1.0.0", Description: "orders for a running stixbridge",
		QueueGroupDisabled: true, // every instance hears an order; the one that runs the consumer obeys
		Metadata:           map[string]string{"instance": instance},
	})
	if err != nil {
		return fmt.Errorf("control service: %w", err)
	}
	defer func() { _ = svc.Stop() }()
	verbs := map[string]func(context.Context, request) (answer, error){
		"status": func(ctx context.Context, _ request) (answer, error) {
			s, err := e.Status(ctx)
			return answer{Status: &s}, err
		},
		"replay": func(_ context.Context, r request) (answer, error) {
			return answer{}, e.Replay(ctx, r.Name, *r.Replay) // beyond the request: the order is durable
		},
		"redrive": func(ctx context.Context, r request) (answer, error) {
			text, err := e.Redrive(ctx, r.Letter, r.With)
			return answer{Text: text}, err
		},
	}
	group := svc.AddGroup(ctl)
	for verb, f := range verbs {
		err := group.AddEndpoint(verb, micro.HandlerFunc(func(q micro.Request) {
			var r request
			if len(q.Data()) > 0 {
				if err := json.Unmarshal(q.Data(), &r); err != nil {
					_ = q.Error("400", err.Error(), nil)
					return
				}
			}
			go e.obey(ctx, q, func(ctx context.Context) (answer, error) { return f(ctx, r) })
		}))
		if err != nil {
			return fmt.Errorf("control service: %w", err)
		}
	}
	for {
		err := e.store.State.Watch(ctx, "paused.", func(key string, value []byte) {
			for _, k := range e.consumers {
				if "paused."+k.cfg.Name == key {
					if value != nil {
						k.runner().Pause()
					} else {
						k.runner().Resume()
					}
				}
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		e.log.Warn("watch of pauses ended, begins again", "error", err)
		if pause(ctx, time.Second) != nil {
			return nil
		}
	}
}

// obey answers one request.
func (e *Engine) obey(ctx context.Context, q micro.Request, f func(context.Context) (answer, error)) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	a, err := f(ctx)
	switch {
	case errors.Is(err, ErrUnknown):
		return // it may run in another instance
	case err != nil:
		_ = q.Error("500", err.Error(), nil)
	default:
		_ = q.RespondJSON(a)
	}
}

func (e *Engine) consumer(name string) (*consumer, error) {
	for _, k := range e.consumers {
		if k.cfg.Name == name {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, name)
}

// Replay gives a consumer a replay order; it returns when the order is durable and begun, or done. Progress is in Status; ReplayDone
// tells when it is through.
func (e *Engine) Replay(ctx context.Context, name string, o delivery.Order) error {
	k, err := e.consumer(name)
	if err != nil {
		return err
	}
	if err := k.runner().Check(o); err != nil {
		return err
	}
	if err := k.orders().Save(ctx, o); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // it ends with the runner; the next one goes on with it
		defer close(done)
		if err := k.runner().Replay(context.WithoutCancel(ctx), o); err != nil {
			k.log.Info("the replay goes on with the next start", "reason", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
	return nil
}

// ReplayDone reports whether a consumer has carried an order out.
func ReplayDone(ctx context.Context, s *eventlog.Store, consumer, id string) (bool, error) {
	var o delivery.Order
	rev, err := s.State.Get(ctx, orders{state: s.State, consumer: consumer}.key(id), &o)
	return rev == 0, err
}

// Redrive delivers a dead letter again to its own consumer only, or puts one of the intake through its producer. It returns what became of it.
func (e *Engine) Redrive(ctx context.Context, seq uint64, with []byte) (string, error) {
	d, ok, err := e.store.Letters.Get(ctx, seq)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("no dead letter %d", seq)
	}
	if d.Side == "producer" {
		return e.reenter(ctx, d, with)
	}
	k, err := e.consumer(d.Name)
	if err != nil {
		return "", err
	}
	if d.Blob != "" {
		if d.Raw, err = e.store.Blobs.Get(ctx, d.Blob); err != nil {
			return "", err
		}
	}
	ev, err := d.Event()
	if err != nil {
		return "", err
	}
	if err := k.owns(ctx, ev.Object.ID()); err != nil {
		return "", err
	}
	out, err := k.runner().Redrive(ctx, ev)
	if err != nil {
		return "", err
	}
	return out, e.store.Letters.Drop(ctx, seq)
}

// reenter puts repaired input through its producer.
func (e *Engine) reenter(ctx context.Context, d eventlog.Letter, with []byte) (string, error) {
	if len(with) == 0 {
		with = d.Raw
	}
	o, err := stix.Parse(with)
	if err != nil {
		return "", fmt.Errorf("dead letter %d still cannot be an event: %w; repair it and give it with --with FILE", d.Seq, err)
	}
	enter := func(in *intake.Intake) error {
		if err := in.Put(ctx, bridge.Change{Object: o}); err != nil {
			return err
		}
		return in.Flush(ctx)
	}
	if in := e.intakeOf(d.Name); in != nil {
		err = enter(in)
	} else {
		err = e.as(ctx, d.Name, "redrive", false, enter)
		for begun := time.Now(); errors.Is(err, eventlog.ErrHeld) && time.Since(begun) < startLimit; { // our own start may be catching it up
			if err = pause(ctx, 100*time.Millisecond); err == nil {
				err = e.as(ctx, d.Name, "redrive", false, enter)
			}
		}
	}
	if err != nil {
		return "", err
	}
	return "entered as " + o.ID(), e.store.Letters.Drop(ctx, d.Seq)
}

// Remote gives orders to a running bridge.
type Remote struct{ NC *nats.Conn }

// ErrNotRunning says that no bridge answers.
var ErrNotRunning = errors.New("no running bridge answers")

func (r Remote) ask(ctx context.Context, verb string, q request) (a answer, err error) {
	b, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	m, err := r.NC.RequestWithContext(ctx, ctl+"."+verb, b)
	if errors.Is(err, nats.ErrNoResponders) {
		return a, ErrNotRunning
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return a, fmt.Errorf("%w for %s", ErrNotRunning, q.Name)
	}
	if err != nil {
		return a, fmt.Errorf("ask the running bridge: %w", err)
	}
	if text := m.Header.Get(micro.ErrorHeader); text != "" {
		return a, errors.New(text)
	}
	return a, json.Unmarshal(m.Data, &a)
}

// gather is how long answers of further instances are waited for, after the first.
const gather = 250 * time.Millisecond

// Status asks every instance for its status and puts the answers together: each consumer and producer as the instance tells it that runs it.
func (r Remote) Status(ctx context.Context) (s bridge.Status, err error) {
	sub, err := r.NC.SubscribeSync(r.NC.NewInbox())
	if err != nil {
		return s, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := r.NC.PublishRequest(ctl+".status", sub.Subject, []byte("{}")); err != nil {
		return s, err
	}
	for first := true; ; first = false {
		wait, cancel := ctx, context.CancelFunc(func() {})
		if !first {
			wait, cancel = context.WithTimeout(ctx, gather)
		}
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return s, ErrNotRunning
		case err != nil && !first:
			return s, nil
		case err != nil:
			return s, fmt.Errorf("%w: %w", ErrNotRunning, err)
		}
		if text := m.Header.Get(micro.ErrorHeader); text != "" {
			return s, errors.New(text)
		}
		var a answer
		if err := json.Unmarshal(m.Data, &a); err != nil {
			return s, fmt.Errorf("status of the running bridge: %w", err)
		}
		if first {
			s = *a.Status
			continue
		}
		s = together(s, *a.Status)
	}
}

// together takes each producer and consumer from the instance that runs it.
func together(a, b bridge.Status) bridge.Status {
	for _, p := range b.Producers {
		i := slices.IndexFunc(a.Producers, func(have bridge.ProducerStatus) bool { return have.Name == p.Name })
		switch {
		case i < 0:
			a.Producers = append(a.Producers, p)
		case strings.HasPrefix(a.Producers[i].Error, standingBy):
			a.Producers[i] = p
		}
	}
	for _, c := range b.Consumers {
		i := slices.IndexFunc(a.Consumers, func(have bridge.ConsumerStatus) bool { return have.Name == c.Name })
		switch {
		case i < 0:
			a.Consumers = append(a.Consumers, c)
		case strings.HasPrefix(a.Consumers[i].Error, standingBy):
			a.Consumers[i] = c
		case !strings.HasPrefix(c.Error, standingBy):
			a.Consumers[i] = c.And(a.Consumers[i])
		}
	}
	for _, p := range b.Problems {
		if !slices.Contains(a.Problems, p) {
			a.Problems = append(a.Problems, p)
		}
	}
	return a
}

// standingBy begins the error text of what another instance runs.
const standingBy = "standing by: "

// Replay orders a replay.
func (r Remote) Replay(ctx context.Context, consumer string, o delivery.Order) error {
	_, err := r.ask(ctx, "replay", request{Name: consumer, Replay: &o})
	return err
}

// Redrive orders a redrive and returns what became of the letter.
func (r Remote) Redrive(ctx context.Context, letter uint64, with []byte) (string, error) {
	a, err := r.ask(ctx, "redrive", request{Letter: letter, With: with})
	return a.Text, err
}
