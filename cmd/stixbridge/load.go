package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/consumers"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/where"
	"github.com/stixbridge/stixbridge/producers"
)

// plugins are the kinds that this binary has. A build of your own lists others.
func plugins() config.Plugins {
	return config.Plugins{
		Producers: producers.All(), Sinks: consumers.Sinks(), Enrichers: consumers.Enrichers(),
		CompileWhere: func(s string) error { _, err := where.Compile(s); return err },
	}
}

// load reads the configuration. Without -c and without a ./stixbridge.yaml the defaults hold, for commands that can do with them.
func (a *app) load(optional bool) (*config.Loaded, error) {
	if _, err := os.Stat(a.config); errors.Is(err, fs.ErrNotExist) && !a.configured && optional {
		return config.Parse("defaults", []byte("{}"), os.Environ(), plugins())
	}
	l, err := config.Load(a.config, os.Environ(), plugins())
	var bad config.Problems
	if err != nil && !errors.As(err, &bad) {
		return nil, wrong(err)
	}
	return l, err
}

// logger writes text on a terminal and JSON elsewhere.
func (a *app) logger(c bridge.LogConfig) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	if c.Format == "text" || c.Format != "json" && a.terminal() {
		return slog.New(tint.NewTextHandler(a.errs, &tint.Options{Level: level, TimeFormat: "15:04:05", NoColor: !a.terminal()}))
	}
	return slog.New(slog.NewJSONHandler(a.errs, &slog.HandlerOptions{Level: level}))
}

// terminal reports whether a person reads what we say.
func (a *app) terminal() bool {
	f, ok := a.errs.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// attach opens the event log for a command.
func (a *app) attach(create bool, only ...string) (*engine.Attached, *config.Loaded, error) {
	cfg, err := a.load(true)
	if err != nil {
		return nil, nil, err
	}
	quiet := slog.New(slog.NewTextHandler(a.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	at, err := engine.Attach(a.ctx, cfg, engine.Options{Version: version, Log: quiet, Only: only}, create)
	if err != nil {
		return nil, nil, err
	}
	return at, cfg, nil
}

// named checks that a name is a configured consumer.
func named(cfg *config.Loaded, name string) error {
	for _, c := range cfg.Consumers {
		if c.Name == name {
			return nil
		}
	}
	return wrong(fmt.Errorf("no consumer %s in %s", name, cfg.File))
}
