package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

type tapCmd struct {
	filter
	span
	Last   uint64 `help:"The last N events that pass the filter." placeholder:"N"`
	Follow bool   `help:"Go on with new events; alone: new ones only."`
}

// Help shows an example.
func (tapCmd) Help() string {
	return "Example: stixbridge tap --type indicator --since 1h --follow | jq .object.name"
}

func (c *tapCmd) Run(a *app) error {
	pass, err := c.compile()
	if err != nil {
		return err
	}
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	log := at.Store().Log
	first, last, err := log.Bounds(a.ctx)
	if err != nil {
		return err
	}
	from := max(first, c.FromSeq)
	switch {
	case c.Last > 0 && c.filter.empty():
		from = max(from, last+1-min(c.Last, last))
	case c.Since != "":
		t, err := when(c.Since)
		if err != nil {
			return err
		}
		seq, err := log.SeqAt(a.ctx, t)
		if err != nil {
			return err
		}
		from = max(from, seq+1)
	case c.Follow && c.FromSeq == 0:
		from = last + 1
	}
	t := &tapping{log: log, pass: pass, filter: eventlog.Filter(c.Producer, c.Type), out: bufio.NewWriterSize(a.out, 1<<20)}
	defer t.out.Flush()
	if c.Last > 0 && !c.filter.empty() { // the last N that pass: all must be looked at
		if err := t.last(a.ctx, from, c.Last); err != nil {
			return err
		}
		if !c.Follow {
			return nil
		}
		from = last + 1
	}
	return t.print(a.ctx, from, c.Follow)
}

// tapping prints events as lines.
type tapping struct {
	log    *eventlog.Log
	pass   func(bridge.Event) bool
	filter []string
	out    *bufio.Writer
}

// each calls yield with the line of every event that passes.
func (t *tapping) each(ctx context.Context, from uint64, follow bool, yield func(line []byte) error) error {
	var line []byte
	err := t.log.Read(ctx, "tap", from, eventlog.ReadOptions{Filter: t.filter, Follow: follow}, func(r eventlog.Record) error {
		e, err := r.Event()
		if err != nil || !t.pass(e) {
			return err
		}
		line = append(e.Line(line[:0]), '\n')
		return yield(line)
	})
	if errors.Is(err, context.Canceled) || errors.Is(err, errPipe) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	return nil
}

func (t *tapping) print(ctx context.Context, from uint64, follow bool) error {
	return t.each(ctx, from, follow, func(line []byte) error {
		if _, err := t.out.Write(line); err != nil {
			return errPipe
		}
		if follow && t.out.Flush() != nil {
			return errPipe
		}
		return nil
	})
}

func (t *tapping) last(ctx context.Context, from, n uint64) error {
	var ring []string
	err := t.each(ctx, from, false, func(line []byte) error {
		ring = append(ring, string(line))
		if uint64(len(ring)) > 2*n {
			ring = append([]string{}, ring[uint64(len(ring))-n:]...)
		}
		return nil
	})
	for _, line := range ring[max(0, len(ring)-int(min(n, 1<<30))):] {
		_, _ = t.out.WriteString(line)
	}
	return err
}

// errPipe ends a command whose reader has gone away (head, jq).
var errPipe = errors.New("nobody reads")
