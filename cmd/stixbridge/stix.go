package main

import (
	"fmt"

	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/stixcmd"
)

// stixCmd are filters: they read standard input and write one line for each line.
type stixCmd struct {
	ID       stixIDCmd       `cmd:"" name:"id" help:"One JSON object a line in, its deterministic id a line out, - where there is none."`
	Split    stixSplitCmd    `cmd:"" help:"A bundle in, one single-object bundle a line out in dependency order; drops on stderr."`
	Validate stixValidateCmd `cmd:"" help:"One JSON object a line in, its verdict a line out."`
	Pattern  stixPatternCmd  `cmd:"" help:"One pattern a line in, what it names a line out."`
	Fmt      stixFmtCmd      `cmd:"" help:"One pattern a line in, the same in uniform layout out."`
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

type stixValidateCmd struct{}

// Help shows an example.
func (stixValidateCmd) Help() string {
	return `Example: jq -c '.objects[]' bundle.json | stixbridge stix validate`
}

func (stixValidateCmd) Run(a *app) error { return stixcmd.Validate(a.in, a.out, a.errs) }

type stixPatternCmd struct{}

// Help shows an example.
func (stixPatternCmd) Help() string {
	return `Example: echo "[ipv4-addr:value = '192.0.2.1']" | stixbridge stix pattern`
}

func (stixPatternCmd) Run(a *app) error { return stixcmd.Pattern(a.in, a.out, a.errs) }

type stixFmtCmd struct{}

// Help shows an example.
func (stixFmtCmd) Help() string {
	return `Example: echo "[ipv4-addr:value='192.0.2.1']" | stixbridge stix fmt`
}

func (stixFmtCmd) Run(a *app) error { return stixcmd.Fmt(a.in, a.out, a.errs) }

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
