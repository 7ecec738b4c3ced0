package main

import (
	"fmt"

	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/stixcmd"
)

type stixCmd struct {
	ID    stixIDCmd    `cmd:"" name:"id" help:"One JSON object a line in, its deterministic id a line out, - where there is none."`
	Split stixSplitCmd `cmd:"" help:"A bundle in, one single-object bundle a line out in dependency order; drops on stderr."`
}

type stixIDCmd struct{}

// Help shows an example.
func (stixIDCmd) Help() string {
	return `Example: echo '{"type":"ipv4-addr","value":"192.0.2.1"}' | stixbridge stix id`
}

func (stixIDCmd) Run(a *app) error { return stixcmd.ID(a.in, a.out, a.errs) }

type stixSplitCmd struct{}

// Help shows an example.
func (stixSplitCmd) Help() string { return "Example: stixbridge stix split < bundle.json" }

func (stixSplitCmd) Run(a *app) error { return stixcmd.Split(a.in, a.out, a.errs) }

type schemaCmd struct {
	Reference bool `help:"Print the reference as Markdown instead."`
}

// Help shows an example.
func (schemaCmd) Help() string { return "Example: stixbridge schema > stixbridge.schema.json" }

func (c *schemaCmd) Run(a *app) error {
	text, err := config.Schema(plugins())
	if c.Reference {
		text, err = config.Reference(plugins())
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s", text)
	return err
}
