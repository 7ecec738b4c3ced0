package main

import (
	"fmt"
	"log/slog"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/migrate"
)

type backupCmd struct {
	Dir  string `arg:"" help:"New directory for the backup."`
	JSON bool   `help:"Print the backup's description as JSON."`
}

// Help shows an example.
func (backupCmd) Help() string {
	return "The bridge may work meanwhile. Example: stixbridge backup /backup/stixbridge-2026-11-24"
}

func (c *backupCmd) Run(a *app) error {
	cfg, err := a.load(true)
	if err != nil {
		return err
	}
	o, err := engine.BrokerOptions(cfg.Config, nil, a.quiet())
	if err != nil {
		return err
	}
	b, err := migrate.Connect(a.ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	m, err := migrate.Backup(a.ctx, b, c.Dir, version, func(s string) { fmt.Fprintln(a.errs, s) })
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, m)
	}
	fmt.Fprintf(a.out, "backup of %s is in %s; it holds objects of every TLP in clear text\n", m.Time.Local().Format("2006-01-02 15:04:05"), c.Dir)
	return nil
}

// quiet is a logger for commands that say themselves what happens.
func (a *app) quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.errs, &slog.HandlerOptions{Level: slog.LevelError}))
}
