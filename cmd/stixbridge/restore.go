package main

import (
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/migrate"
)

type restoreCmd struct {
	Dir string `arg:"" help:"Directory of the backup."`
}

// Help shows an example.
func (restoreCmd) Help() string {
	return "The store must be empty and no bridge may run. Example: stixbridge restore /backup/stixbridge-2026-11-24"
}

func (c *restoreCmd) Run(a *app) error {
	cfg, err := a.load(true)
	if err != nil {
		return err
	}
	if _, err := migrate.ReadManifest(c.Dir); err != nil { // before a store is made
		return err
	}
	o, err := engine.BrokerOptions(cfg.Config, nil, a.quiet())
	if err != nil {
		return err
	}
	limit := int64(cfg.Config.NATS.MaxBytes)
	if o.URL == "" && o.Context == "" {
		o.Listen, o.MaxStore, o.Lazy = "127.0.0.1:0", math.MaxInt64/4, true
	} else if limit == 0 {
		limit = 10 << 30 // the default on an external server
	}
	b, err := broker.Open(a.ctx, o)
	if errors.Is(err, broker.ErrInUse) {
		return fmt.Errorf("%w; stop the bridge first", err)
	}
	if err != nil {
		return err
	}
	m, err := migrate.PutBack(a.ctx, b, c.Dir, limit, func(s string) { fmt.Fprintln(a.errs, s) })
	if o.Lazy && err == nil { // everything is on the disk before it counts
		if err = b.Close(); err != nil {
			return err
		}
		syscall.Sync()
		o.Lazy = false
		if b, err = broker.Open(a.ctx, o); err != nil {
			return err
		}
	}
	if err == nil {
		err = migrate.Release(a.ctx, b)
	}
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "restored the backup of %s; start the bridge\n", m.Time.Local().Format("2006-01-02 15:04:05"))
	return nil
}
