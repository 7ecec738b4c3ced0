package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/subscriber"
	"github.com/stixbridge/stixbridge/internal/web"
)

type runCmd struct {
	Only          []string      `help:"Run only these producers and consumers." placeholder:"NAME,…"`
	Once          bool          `help:"Run every polled producer once, deliver everything, say what happened, exit."`
	Timeout       time.Duration `default:"60s" help:"With --once: how long a consumer may go without success."`
	AcceptDeletes []string      `help:"Let the next complete read of this producer delete more than max_delete." placeholder:"NAME"`
	AcceptRebuild bool          `help:"Go on although the log no longer reaches back to where STIX_LATEST ends."`
	AcceptClock   bool          `help:"Go on although the clock is far from the last event."`
	AcceptLoss    bool          `help:"Bring the log to limits that drop stored events."`
}

// Help shows an example.
func (runCmd) Help() string { return "Example: stixbridge run -c stixbridge.yaml" }

func (c *runCmd) Run(a *app) (err error) {
	cfg, err := a.load(false)
	if err != nil {
		return err
	}
	if err := c.known(cfg); err != nil {
		return err
	}
	log := a.logger(cfg.Config.Log)
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "problem", w.Error())
	}
	memory := limitMemory(log)
	var page net.Listener
	if cfg.Config.HTTP.Listen != "off" && !c.Once {
		if page, err = web.Listen(cfg.Config.HTTP.Listen, cfg.Config.HTTP.Tokens); err != nil {
			return err
		}
		defer page.Close()
	}
	e, err := c.open(a.ctx, cfg, log)
	if errors.Is(err, engine.ErrRenamed) {
		return wrong(err)
	}
	if err != nil && a.ctx.Err() != nil && !c.Once {
		return nil // told to stop before it had begun
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	if page != nil {
		h := web.New(web.Options{Source: pages{e}, Tokens: cfg.Config.HTTP.Tokens, Listen: cfg.Config.HTTP.Listen, Version: version, Metrics: e.Metrics(), Log: log})
		go func() { served <- h.Serve(ctx, page) }()
	} else {
		served <- nil
	}
	show := &console{a: a, e: e, cfg: cfg, once: c.Once, page: page}
	shown := make(chan struct{})
	go func() { defer close(shown); show.watch(ctx) }()
	go memory.follow(ctx, e)
	guests := make(chan error, 1)
	go func() { guests <- subscriber.Serve(ctx, e.Broker(), e.Store(), log) }()
	before, err := e.DeadLetters(a.ctx)
	if err != nil {
		return err
	}
	err = e.Run(a.ctx)
	stop()
	<-shown
	err = errors.Join(err, <-served, <-guests)
	if c.Once {
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		show.summary(closing)
		after, lerr := e.DeadLetters(closing)
		err = errors.Join(err, lerr)
		if after > before {
			err = errors.Join(err, fmt.Errorf("%d dead letters: stixbridge dlq list", after-before))
		}
	}
	return err
}

// open opens the event log. A command that has it for a moment (status, tap) is waited for.
func (c *runCmd) open(ctx context.Context, cfg *config.Loaded, log *slog.Logger) (*engine.Engine, error) {
	for begun := time.Now(); ; {
		e, err := engine.Open(ctx, cfg, engine.Options{
			Version: version, Only: c.Only, Once: c.Once, Timeout: c.Timeout, AcceptDeletes: c.AcceptDeletes,
			AcceptRebuild: c.AcceptRebuild, AcceptClock: c.AcceptClock, AcceptLoss: c.AcceptLoss, Log: log,
		})
		if !errors.Is(err, broker.ErrInUse) || time.Since(begun) > 3*time.Second {
			return e, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// known refuses names that the configuration does not have.
func (c *runCmd) known(cfg *config.Loaded) error {
	have := map[string]bool{}
	for _, p := range cfg.Producers {
		have[p.Name] = true
	}
	for _, k := range cfg.Consumers {
		have[k.Name] = true
	}
	for _, n := range append(append([]string{}, c.Only...), c.AcceptDeletes...) {
		if !have[n] {
			return wrong(fmt.Errorf("no producer or consumer %s in %s", n, cfg.File))
		}
	}
	return nil
}

// pages lets the status page see the engine.
type pages struct{ *engine.Engine }

// Status is what all processes on one event log tell together; it blocks for some 250 ms where there can be others.
func (p pages) Status(ctx context.Context) (bridge.Status, error) {
	if !p.Broker().Embedded() {
		if s, err := (engine.Remote{NC: p.Broker().Conn()}).Status(ctx); err == nil {
			return s, nil
		}
	}
	return p.Engine.Status(ctx)
}

// Do carries out an order of the status page.
func (p pages) Do(ctx context.Context, o web.Order) error {
	s, err := p.Status(ctx)
	if err != nil {
		return err
	}
	for _, k := range s.Consumers {
		if k.Name != o.Name {
			continue
		}
		if o.Action == web.Pause {
			return engine.Pause(ctx, p.Store(), o.Name, "status page")
		}
		return engine.Resume(ctx, p.Store(), o.Name)
	}
	return fmt.Errorf("%w: %s", web.ErrUnknown, o.Name)
}
