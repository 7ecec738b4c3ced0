package main

import (
	"errors"
	"fmt"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/config"
)

type checkCmd struct {
	Online bool `help:"Also ask sources and targets whether they answer and accept us."`
	Show   bool `help:"Also print the configuration that is in effect, with defaults and without secrets."`
}

// Help shows an example.
func (checkCmd) Help() string { return "Example: stixbridge check -c stixbridge.yaml --online" }

func (c *checkCmd) Run(a *app) error {
	cfg, err := a.load(false)
	var bad config.Problems
	if errors.As(err, &bad) {
		for _, p := range bad {
			fmt.Fprintln(a.out, p)
		}
		return exit{code: 2}
	}
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(a.out, w)
	}
	failed := 0
	if c.Online {
		for _, r := range engine.Probe(a.ctx, cfg, version) {
			if r.Err != nil {
				failed++
				fmt.Fprintf(a.out, "%s: %s: %v\n", r.Place, r.Name, r.Err)
				continue
			}
			fmt.Fprintf(a.out, "%s: %s\n", r.Name, r.Says)
		}
	}
	if failed > 0 {
		return exit{code: 1}
	}
	if c.Show {
		fmt.Fprintf(a.out, "%s", config.Redacted(cfg))
	}
	fmt.Fprintf(a.out, "%s: %d producers, %d consumers, no problems\n", cfg.File, len(cfg.Producers), len(cfg.Consumers))
	return nil
}
