package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// score is one column of the scoreboard: what the platform sent against what the target recorded.
type score struct {
	name                  string
	sent, arrived         int
	double, stale, leaked int
	red                   string
	lacking, extra        int // lines of the table
	back, of, extraAgain  int // after it was emptied and filled again; back is -1 until then
	noTable               bool
}

// count fills the board, all but what happens after the SIEM is emptied.
func (d *demo) count() {
	told, holds := d.platform.ledger()
	board := []*score{}
	for _, l := range d.lanes() {
		s := l.siem
		c := &score{name: l.name, sent: len(told), arrived: s.arrived(told), red: "taken back", back: -1, of: len(holds)}
		_, c.lacking, c.extra = s.compare(holds)
		if s.has(d.red) {
			c.red = "still there"
		}
		s.mu.Lock()
		c.double, c.stale, c.leaked = s.double, s.stale, s.leaked
		s.mu.Unlock()
		board = append(board, c)
	}
	p := d.partner
	c := &score{name: "NATS subscriber", sent: len(told), arrived: p.arrived(told), red: "not said", noTable: true}
	p.mu.Lock()
	c.double, c.leaked = p.double, p.leaked
	for k := range p.heard {
		if k.id == d.red && k.gone {
			c.red = "taken back"
		}
	}
	p.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board = append(board, c)
}

// recount adds what came back after the SIEM was emptied.
func (d *demo) recount() {
	_, holds := d.platform.ledger()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, l := range d.lanes() {
		c := d.board[i]
		c.back, _, c.extraAgain = l.siem.compare(holds)
	}
}

// verdict says what is wrong with our columns; nil when all is well. That an event comes twice after a kill is no wrong: the
// promise is at least once, in order.
func (d *demo) verdict() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, c := range d.board {
		if c.name == stockName {
			continue
		}
		if c.arrived != c.sent || c.stale+c.leaked+c.lacking+c.extra+c.extraAgain > 0 || c.back != c.of || c.red != "taken back" {
			errs = append(errs, fmt.Errorf("%s is not complete: %+v", c.name, *c))
		}
	}
	if len(d.board) == 0 {
		errs = append(errs, errors.New("nothing was counted"))
	}
	return errors.Join(errs...)
}

// lines of the scoreboard: a label and a cell for each column.
func lines(board []*score) (rows [][]string) {
	add := func(label string, cell func(*score) string) {
		row := []string{label}
		for _, c := range board {
			row = append(row, cell(c))
		}
		rows = append(rows, row)
	}
	table := func(n func(*score) int) func(*score) string {
		return func(c *score) string {
			if c.noTable {
				return "·"
			}
			return strconv.Itoa(n(c))
		}
	}
	add("", func(c *score) string { return c.name })
	add("changes sent that it may see", func(c *score) string { return strconv.Itoa(c.sent) })
	add("arrived", func(c *score) string { return strconv.Itoa(c.arrived) })
	add("missing", func(c *score) string { return strconv.Itoa(c.sent - c.arrived) })
	add("double", func(c *score) string { return strconv.Itoa(c.double) })
	add("stale: older over newer", table(func(c *score) int { return c.stale }))
	add("leaked: above TLP:GREEN", func(c *score) string { return strconv.Itoa(c.leaked) })
	add("what turned red is", func(c *score) string { return c.red })
	add("table: absent or outdated", table(func(c *score) int { return c.lacking }))
	add("table: should not be there", table(func(c *score) int { return c.extra }))
	add("emptied, then filled again", func(c *score) string {
		switch {
		case c.noTable:
			return "·"
		case c.back < 0:
			return "…"
		}
		return fmt.Sprintf("%d of %d", c.back, c.of)
	})
	add("then: should not be there", table(func(c *score) int { return c.extraAgain }))
	return rows
}

// text is the scoreboard as plain text.
func text(board []*score) string {
	var b strings.Builder
	for i, row := range lines(board) {
		for k, cell := range row {
			if k == 0 {
				fmt.Fprintf(&b, "  %-33s", cell)
			} else {
				fmt.Fprintf(&b, "%17s", cell)
			}
		}
		b.WriteString("\n")
		if i == 0 {
			b.WriteString("  " + strings.Repeat("─", 33+17*(len(row)-1)) + "\n")
		}
	}
	return b.String()
}
