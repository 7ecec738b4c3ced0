package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/config"
)

// console tells a person what happens: a bar while the first run works, then what came of it and where to look next.
type console struct {
	a    *app
	e    *engine.Engine
	cfg  *config.Loaded
	once bool
	page net.Listener
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 10 * time.Second
)

// watch shows progress until the first run is through and delivered, then the summary.
func (c *console) watch(ctx context.Context) {
	t := time.NewTicker(barEvery)
	defer t.Stop()
	begun, last := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			c.clear()
			return
		case <-t.C:
		}
		s, err := c.e.Status(ctx)
		if err != nil {
			continue
		}
		if !c.once && settled(s) {
			c.clear()
			c.summary(ctx)
			return
		}
		switch {
		case c.a.terminal():
			fmt.Fprintf(c.a.errs, "\r\x1b[K%s", line(s, true))
		case time.Since(last) >= lineEvery:
			last = time.Now()
			fmt.Fprintf(c.a.errs, "%s after %v\n", line(s, false), time.Since(begun).Round(time.Second))
		}
	}
}

func (c *console) clear() {
	if c.a.terminal() {
		fmt.Fprint(c.a.errs, "\r\x1b[K")
	}
}

// settled reports whether every polled source was read once and everything is dealt with, or nothing can go on by itself.
func settled(s bridge.Status) bool {
	for _, p := range s.Producers {
		if p.Health == bridge.Starting || p.LastRun.IsZero() || p.Progress != nil || p.Health == bridge.Healthy && p.NextRun.IsZero() && !live(p) {
			return false
		}
	}
	for _, k := range s.Consumers {
		if k.Lag > 0 && k.Health != bridge.Stopped && k.Health != bridge.Refused && k.Health != bridge.Retrying {
			return false
		}
	}
	return true
}

func live(p bridge.ProducerStatus) bool { return p.Kind == "opencti-live" }

const barWidth = 24

// line is the state in one line.
func line(s bridge.Status, bar bool) string {
	var parts []string
	for _, p := range s.Producers {
		if g := p.Progress; g != nil && g.Total > 0 {
			text := fmt.Sprintf("%s %d of %d %s", p.Name, g.Done, g.Total, g.Unit)
			if bar {
				n := int(barWidth * g.Done / max(g.Total, 1))
				text = fmt.Sprintf("%s %s%s %d%%", p.Name, strings.Repeat("█", n), strings.Repeat("░", barWidth-n), 100*g.Done/g.Total)
			}
			parts = append(parts, text)
		}
	}
	parts = append(parts, fmt.Sprintf("log %d", s.Log.LastSeq))
	for _, k := range s.Consumers {
		parts = append(parts, fmt.Sprintf("%s %d", k.Name, k.Delivered))
	}
	return strings.Join(parts, "  ")
}

// summary says what came in, what became of it, and where to look next.
func (c *console) summary(ctx context.Context) {
	s, err := c.e.Status(ctx)
	if err != nil {
		fmt.Fprintln(c.a.errs, "status:", err)
		return
	}
	out := c.a.out
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	types := c.e.Types()
	for _, p := range s.Producers {
		fmt.Fprintf(out, "\n%s (%s)", p.Name, p.Kind)
		if p.Error != "" {
			fmt.Fprintf(out, ": %s", p.Error)
		}
		fmt.Fprintln(out)
		rows := types[p.Name]
		if len(rows) == 0 {
			fmt.Fprintln(out, "  everything is unchanged: the source is as it was when it was last read")
			continue
		}
		fmt.Fprintln(w, "  \tnew\tchanged\tunchanged\tdeleted\trejected\t")
		sum := map[string]uint64{}
		for _, typ := range slices.Sorted(maps.Keys(rows)) {
			n := rows[typ]
			fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%d\t\n", typeName(typ), n["create"], n["update"]+n["merge"], n["unchanged"], n["delete"], n["rejected"])
			for k, v := range n {
				sum[k] += v
			}
		}
		fmt.Fprintf(w, "  all\t%d\t%d\t%d\t%d\t%d\t\n", sum["create"], sum["update"]+sum["merge"], sum["unchanged"], sum["delete"], sum["rejected"])
		_ = w.Flush()
	}
	for _, k := range s.Consumers {
		fmt.Fprintf(out, "\n%s (%s): %d delivered", k.Name, k.Kind, k.Delivered)
		if k.Retracted > 0 {
			fmt.Fprintf(out, ", %d of them taken back", k.Retracted)
		}
		if k.Lag > 0 {
			fmt.Fprintf(out, ", %d pending", k.Lag)
		}
		if k.Dead > 0 {
			fmt.Fprintf(out, ", %d dead letters", k.Dead)
		}
		if k.Error != "" {
			fmt.Fprintf(out, " (%s: %s)", k.Health, k.Error)
		}
		fmt.Fprintln(out)
		for _, g := range slices.Sorted(maps.Keys(k.Held)) {
			if k.Held[g] > 0 {
				fmt.Fprintf(out, "  %d held back by %s; %s\n", k.Held[g], g, c.e.Remedy(k.Name, g))
			}
		}
	}
	for _, p := range s.Problems {
		fmt.Fprintln(out, "\n! "+p)
	}
	fmt.Fprintln(out)
	c.next(s)
}

func typeName(typ string) string {
	if typ == "" {
		return "(no object)"
	}
	return typ
}

// next says where to look.
func (c *console) next(s bridge.Status) {
	out := c.a.out
	if c.page != nil {
		fmt.Fprintf(out, "status page   http://%s/\n", c.page.Addr())
	}
	fmt.Fprintf(out, "events        stixbridge tap -c %s --last 3\n", c.a.config)
	if s.Log.Mode == "embedded" && !c.once {
		dir := c.cfg.Config.NATS.Dir
		fmt.Fprintf(out, "with nats     XDG_CONFIG_HOME=%s nats --context %s sub 'stix.v1.>'\n", dir, broker.ContextName)
		fmt.Fprintf(out, "              XDG_CONFIG_HOME=%s nats --context %s stream view STIX\n", dir, broker.ContextName)
	}
	if !c.once {
		fmt.Fprintln(out, "stop          Ctrl-C; a second run says what has changed since")
	}
}
