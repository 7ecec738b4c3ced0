package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

const (
	width = 100
	half  = (width - 3) / 2
)

// colours of a terminal.
const (
	plain = ""
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	amber = "33"
)

// screen shows the view on a terminal until ctx ends; what is not a terminal gets a line now and then. The
// returned channel is closed when the terminal is as it was.
func (d *demo) screen(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	every := 5 * time.Second
	if d.live {
		every = look
		fmt.Fprint(d.out, "\x1b[?1049h\x1b[?25l") // another screen, no cursor
	}
	go func() {
		defer close(done)
		for tick := time.NewTicker(every); ; {
			if d.live {
				fmt.Fprint(d.out, "\x1b[H"+strings.Join(d.look().frame(d.url, d.status), "\x1b[K\r\n")+"\x1b[J")
			}
			select {
			case <-tick.C:
				if !d.live {
					d.line()
				}
			case <-ctx.Done():
				if d.live {
					fmt.Fprint(d.out, "\x1b[?25h\x1b[?1049l")
					for _, a := range d.look().Acts {
						fmt.Fprintln(d.out, a)
					}
				}
				return
			}
		}
	}()
	return done
}

// line is for what is not a terminal.
func (d *demo) line() {
	v := d.look()
	for _, p := range v.Lanes {
		if p.Heard != "" {
			fmt.Fprintf(d.out, "%s    %-11s  %s, %s; %s\n", v.Clock, p.Name, p.State, p.Answer, p.Heard)
		}
	}
}

// frame is the whole screen.
func (v view) frame(url, status string) (out []string) {
	out = append(out, cell(" stixbridge demo", 30, bold)+cell(v.Clock, 10, bold)+cell("SIEM "+url+"   bridge "+status, 60, dim), "")
	acts := v.Acts[max(0, len(v.Acts)-9):]
	for i, a := range acts {
		colour := dim
		if i == len(acts)-1 {
			colour = bold
		}
		out = append(out, cell(" "+a, width, colour))
	}
	out = append(out, "", cell(" "+v.Sent, width, plain), "")
	var columns [2][]string
	for i, p := range v.Lanes {
		columns[i] = p.frame()
	}
	for i := range max(len(columns[0]), len(columns[1])) {
		line := ""
		for k, c := range columns {
			if k > 0 {
				line += " " + cell("│", 1, dim) + " "
			}
			if i < len(c) {
				line += c[i]
			} else {
				line += cell("", half, plain)
			}
		}
		out = append(out, line)
	}
	return append(out, "", cell(" "+v.Partner, width, plain))
}

func (p pane) frame() []string {
	colour := green
	if p.Bad {
		colour = red
	}
	out := []string{
		cell(" "+p.Name, 13, bold) + cell(p.State, half-23, colour) + cell(p.Answer, 10, colour),
		cell(" "+p.Heard, half, plain),
		cell(" "+p.Faults, half, plain),
		cell(" "+strings.Repeat("─", half-2), half, dim),
	}
	for _, r := range p.Rows[:min(8, len(p.Rows))] {
		out = append(out, cell(" "+r.At, 10, dim)+cell(r.Op, 8, plain)+cell(strings.ToUpper(r.TLP), 6, shade(r.level))+cell(r.Name, half-28, plain)+cell(fmt.Sprintf("%4d", r.Score), 4, dim))
	}
	return out
}

func shade(t stix.TLP) string {
	switch t {
	case stix.Green:
		return green
	case stix.Amber, stix.AmberStrict:
		return amber
	case stix.Red:
		return red
	}
	return plain
}

// cell is a text of exactly w columns, in a colour.
func cell(text string, w int, colour string) string {
	r := []rune(text)
	if len(r) > w {
		r = append(r[:w-1], '…')
	}
	text = string(r) + strings.Repeat(" ", w-len(r))
	if colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
