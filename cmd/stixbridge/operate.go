package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

func who() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

func printJSON(a *app, v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

type pauseCmd struct {
	Consumer string `arg:"" help:"Name of the consumer."`
}

// Help shows an example.
func (pauseCmd) Help() string { return "Example: stixbridge pause soc" }

func (c *pauseCmd) Run(a *app) error {
	return a.order(c.Consumer, c.Consumer+" is paused; stixbridge resume "+c.Consumer+" goes on where it stands", func(s *eventlog.Store) error {
		return engine.Pause(a.ctx, s, c.Consumer, who())
	})
}

// order carries out an order for a configured consumer and says so.
func (a *app) order(consumer, done string, f func(*eventlog.Store) error) error {
	at, cfg, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	if err := named(cfg, consumer); err != nil {
		return err
	}
	if err := f(at.Store()); err != nil {
		return err
	}
	fmt.Fprintln(a.out, done)
	return nil
}

type resumeCmd struct {
	Consumer string `arg:"" help:"Name of the consumer."`
}

// Help shows an example.
func (resumeCmd) Help() string { return "Example: stixbridge resume soc" }

func (c *resumeCmd) Run(a *app) error {
	return a.order(c.Consumer, c.Consumer+" goes on", func(s *eventlog.Store) error { return engine.Resume(a.ctx, s, c.Consumer) })
}

type getCmd struct {
	ID      string `arg:"" name:"stix-id" help:"STIX id."`
	History bool   `help:"Print the object's events instead, oldest first."`
	JSON    bool   `help:"Print JSON lines (the default of this command)." hidden:""`
}

// Help shows an example.
func (getCmd) Help() string {
	return "Example: stixbridge get malware--31b940d4-6f7f-459a-80ea-9c1f17b5891b --history"
}

func (c *getCmd) Run(a *app) error {
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	events, err := at.Object(a.ctx, c.ID, c.History)
	if err != nil {
		return err
	}
	for _, e := range events {
		fmt.Fprintf(a.out, "%s\n", e.Line(nil))
	}
	if len(events) == 0 {
		return fmt.Errorf("%s is not known here", c.ID)
	}
	return nil
}

type eraseCmd struct {
	ID       string `arg:"" optional:"" name:"stix-id" help:"Object to erase."`
	Producer string `help:"Erase everything of this producer instead." placeholder:"NAME"`
	Yes      bool   `help:"Do not ask."`
	JSON     bool   `help:"Print the audit record as JSON."`
}

// Help shows an example.
func (eraseCmd) Help() string {
	return "Example: stixbridge erase --yes indicator--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"
}

func (c *eraseCmd) Run(a *app) error {
	if (c.ID == "") == (c.Producer == "") {
		return wrong(errors.New("erase: name either a STIX id or --producer NAME"))
	}
	if !c.Yes {
		return wrong(errors.New("erase cannot be undone and does not reach targets that have the object already; repeat with --yes"))
	}
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	if c.Producer != "" {
		l, err := eventlog.Acquire(a.ctx, at.Store().State, "producer."+c.Producer, "erase", false)
		if err != nil {
			return fmt.Errorf("%w; take it out of the configuration first, or it would import everything again", err)
		}
		defer l.Release()
	}
	e, err := eventlog.Erase(a.ctx, at.Store(), c.ID, c.Producer, who())
	if err != nil {
		return fmt.Errorf("%w; erase again to finish", err)
	}
	if c.JSON {
		return printJSON(a, e)
	}
	fmt.Fprintf(a.out, "erased %d events, %d latest objects, %d dead letters, %d payloads; recorded in the state bucket\n", e.Events, e.Latest, e.Letters, e.Blobs)
	return nil
}

type statusCmd struct {
	JSON bool `help:"Print JSON."`
}

// Help shows an example.
func (statusCmd) Help() string {
	return "Example: stixbridge status --json | jq '.consumers[] | {name, lag}'"
}

func (c *statusCmd) Run(a *app) error {
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	s, err := at.StoreStatus(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, s)
	}
	showStatus(a, s)
	return nil
}

func showStatus(a *app, s bridge.Status) {
	state := "no bridge is running"
	if s.Running {
		state = "running for " + time.Since(s.Started).Round(time.Second).String()
	}
	fmt.Fprintf(a.out, "stixbridge %s, %s\n", s.Version, state)
	for _, p := range s.Problems {
		fmt.Fprintln(a.out, "! "+p)
	}
	for _, o := range s.Orphans {
		fmt.Fprintf(a.out, "! no longer configured: %s\n", o)
	}
	fmt.Fprintf(a.out, "\nevent log  %d events (%d to %d), %s, %s at %s\nlatest     %d objects, %s\n\n", s.Log.Events, s.Log.FirstSeq, s.Log.LastSeq, size(s.Log.Bytes), s.Log.Mode, s.Log.Server,
		s.Latest.Objects, size(s.Latest.Bytes))
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	if len(s.Producers) > 0 {
		fmt.Fprintln(w, "PRODUCER\tKIND\tHEALTH\tNEW\tCHANGED\tUNCHANGED\tDELETED\tDEAD\tLAST RUN\tCURSOR")
	}
	for _, p := range s.Producers {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", p.Name, p.Kind, p.Health, p.Counts["create"], p.Counts["update"]+p.Counts["merge"], p.Counts["unchanged"], p.Counts["delete"], p.Dead, stamp(p.LastRun), short(string(p.Cursor), 48))
	}
	_ = w.Flush()
	fmt.Fprintln(a.out)
	if len(s.Consumers) > 0 {
		fmt.Fprintln(w, "CONSUMER\tKIND\tHEALTH\tPOSITION\tLAG\tOLDEST\tDELIVERED\tRETRACTED\tHELD BACK\tDEAD\tTARGET SAYS")
	}
	for _, k := range s.Consumers {
		held := uint64(0)
		for _, n := range k.Held {
			held += n
		}
		kind := k.Kind
		if k.Members > 1 {
			kind += fmt.Sprintf(" ×%d", k.Members)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%s\n", k.Name, kind, k.Health, k.Position, k.Lag, age(k.OldestAge), k.Delivered, k.Retracted, held, k.Dead, short(k.Error, 60))
	}
	_ = w.Flush()
}

func size(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04:05")
}

func age(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

func short(s string, n int) string {
	if s == "" {
		return "-"
	}
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	fmt.Fprintln(a.out, "stixbridge", version)
	return nil
}

// readFile reads a file that a flag names.
func readFile(flag, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, wrong(fmt.Errorf("%s: %w", flag, err))
	}
	return b, nil
}
