package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

type dlqCmd struct {
	List    dlqListCmd    `cmd:"" help:"List dead letters."`
	Show    dlqShowCmd    `cmd:"" help:"Show dead letters whole."`
	Redrive dlqRedriveCmd `cmd:"" help:"Deliver letters again to their own consumer, or put repaired input through its producer."`
	Drop    dlqDropCmd    `cmd:"" help:"Remove letters."`
}

// letters select dead letters: by name and reason, or one by its number.
type letters struct {
	Name   string `arg:"" optional:"" help:"Consumer, producer, or the number of one letter."`
	Reason string `help:"Only letters whose class or reason contains this text." placeholder:"TEXT"`
}

func (l letters) each(ctx context.Context, s *eventlog.Store, yield func(eventlog.Letter) error) error {
	if n, err := strconv.ParseUint(l.Name, 10, 64); err == nil {
		d, ok, err := s.Letters.Get(ctx, n)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("no dead letter %d", n)
		}
		return yield(d)
	}
	return s.Letters.Scan(ctx, l.Name, func(d eventlog.Letter) error {
		if l.Reason != "" && !strings.Contains(d.Class+" "+d.Reason, l.Reason) {
			return nil
		}
		return yield(d)
	})
}

type dlqListCmd struct {
	letters
	JSON bool `help:"Print JSON lines."`
}

// Help shows an example.
func (dlqListCmd) Help() string { return "Example: stixbridge dlq list soc --reason 422" }

func (c *dlqListCmd) Run(a *app) error {
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	n := 0
	err = c.each(a.ctx, at.Store(), func(d eventlog.Letter) error {
		if c.JSON {
			return json.NewEncoder(a.out).Encode(d)
		}
		if n++; n == 1 {
			fmt.Fprintln(w, "LETTER\tTIME\tNAME\tCLASS\tTRIES\tOBJECT OR POSITION\tREASON")
		}
		where := d.ID
		if where == "" {
			where = d.Position
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n", d.Seq, stamp(d.Time), d.Name, d.Class, d.Attempts, short(where, 70), short(d.Reason, 80))
		return nil
	})
	_ = w.Flush()
	if err == nil && n == 0 && !c.JSON {
		fmt.Fprintln(a.out, "no dead letters")
	}
	return err
}

type dlqShowCmd struct {
	letters
}

// Help shows an example.
func (dlqShowCmd) Help() string { return "Example: stixbridge dlq show 17" }

func (c *dlqShowCmd) Run(a *app) error {
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	return c.each(a.ctx, at.Store(), func(d eventlog.Letter) error {
		out := struct {
			eventlog.Letter
			Context json.RawMessage `json:"context,omitempty"`
			Object  json.RawMessage `json:"object,omitempty"`
			Text    string          `json:"text,omitempty"`
			Base64  string          `json:"base64,omitempty"`
		}{Letter: d}
		if d.Context != "" {
			out.Context = json.RawMessage(d.Context)
		}
		switch {
		case json.Valid(d.Raw):
			out.Object = d.Raw
		case utf8.Valid(d.Raw):
			out.Text = string(d.Raw)
		default:
			out.Base64 = base64.StdEncoding.EncodeToString(d.Raw)
		}
		return printJSON(a, out)
	})
}

type dlqDropCmd struct {
	letters
	All bool `help:"Drop the letters of every consumer and producer."`
}

// Help shows an example.
func (dlqDropCmd) Help() string { return "Example: stixbridge dlq drop soc --reason 422" }

func (c *dlqDropCmd) Run(a *app) error {
	if c.Name == "" && !c.All {
		return wrong(errors.New("dlq drop: name a consumer, a producer or a letter, or give --all"))
	}
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	seqs, err := c.collect(a.ctx, at.Store())
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if err := at.Store().Letters.Drop(a.ctx, seq); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, "dropped %d dead letters\n", len(seqs))
	return nil
}

func (l letters) collect(ctx context.Context, s *eventlog.Store) (seqs []uint64, err error) {
	err = l.each(ctx, s, func(d eventlog.Letter) error { seqs = append(seqs, d.Seq); return nil })
	return seqs, err
}

type dlqRedriveCmd struct {
	letters
	With string `help:"Repaired object for one letter of the intake." placeholder:"FILE"`
}

// Help shows an example.
func (dlqRedriveCmd) Help() string {
	return "Example: stixbridge dlq redrive soc; after repair: stixbridge dlq redrive 17 --with fixed.json"
}

func (c *dlqRedriveCmd) Run(a *app) error {
	if c.Name == "" {
		return wrong(errors.New("dlq redrive: name a consumer, a producer or a letter"))
	}
	var with []byte
	if c.With != "" {
		var err error
		if with, err = readFile("--with", c.With); err != nil {
			return err
		}
	}
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	var seqs []uint64
	var names []string
	if err := c.each(a.ctx, at.Store(), func(d eventlog.Letter) error {
		seqs, names = append(seqs, d.Seq), append(names, d.Name)
		return nil
	}); err != nil {
		return err
	}
	if with != nil && len(seqs) != 1 {
		return wrong(fmt.Errorf("--with repairs one letter, %s names %d; give the letter's number", c.Name, len(seqs)))
	}
	redrive := at.Redrive
	if at.Running {
		redrive = at.Remote.Redrive
	}
	var failed error
	return errors.Join(at.While(a.ctx, names, func(ctx context.Context) error {
		for _, seq := range seqs {
			text, err := redrive(ctx, seq, with)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("letter %d: %w", seq, err))
				if errors.Is(err, engine.ErrNotRunning) {
					break
				}
				continue
			}
			fmt.Fprintf(a.out, "letter %d: %s\n", seq, text)
		}
		return nil
	}), failed)
}
