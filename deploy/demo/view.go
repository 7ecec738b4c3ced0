package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// view is what there is to see at a moment, in the terminal and in the browser.
type view struct {
	Clock   string
	Acts    []string
	Sent    string
	Lanes   []pane
	Partner string
	Board   [][]string
}

// pane is a lane and its SIEM.
type pane struct {
	Name, State, Answer, Heard, Faults string
	Bad                                bool // the SIEM does not answer 200, or the process is gone
	Rows                               []row
}

// act notes what happens now in the timetable.
func (d *demo) act(format string, args ...any) {
	a := act{time.Since(d.begun), fmt.Sprintf(format, args...)}
	d.mu.Lock()
	d.acts = append(d.acts, a)
	d.mu.Unlock()
	if !d.live {
		fmt.Fprintln(d.out, a)
	}
	d.bell.ring()
}

func (a act) String() string { return clock(a.At) + "  " + a.Title }

func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func (d *demo) look() view {
	told, holds := d.platform.ledger()
	v := view{Clock: clock(time.Since(d.begun)), Sent: fmt.Sprintf("The platform has sent %d changes that a SIEM for TLP:GREEN may see.", len(told))}
	d.mu.Lock()
	for _, a := range d.acts {
		v.Acts = append(v.Acts, a.String())
	}
	if len(d.board) > 0 {
		v.Board = lines(d.board)
	}
	d.mu.Unlock()
	if d.stock == nil {
		v.Lanes = append(v.Lanes, pane{Name: stockName, State: "not here: make peers installs it"})
	}
	for _, l := range d.lanes() {
		p := l.look(told)
		if len(v.Board) > 0 { // the SIEM was emptied
			p.Heard = fmt.Sprintf("table %d, should be %d", l.siem.size(), len(holds))
		}
		v.Lanes = append(v.Lanes, p)
	}
	p := d.partner
	p.mu.Lock()
	v.Partner = fmt.Sprintf("NATS subscriber up to TLP:GREEN: %d events (%d from the feed), leaked %d", p.events, p.feed, p.leaked)
	p.mu.Unlock()
	return v
}

func (l *lane) look(told map[change]bool) pane {
	starts, runs := l.started()
	s := l.siem
	s.mu.Lock()
	defer s.mu.Unlock()
	v := pane{
		Name: l.name, State: fmt.Sprintf("runs, start %d", starts), Answer: fmt.Sprintf("SIEM: %d", s.answer), Bad: s.answer != http.StatusOK || !runs,
		Heard:  fmt.Sprintf("arrived %d of %d, table %d", common(s.heard, told), len(told), len(s.table)),
		Faults: fmt.Sprintf("refused %d, double %d, stale %d, leaked %d", s.refused, s.double, s.stale, s.leaked),
		Rows:   slices.Clone(s.recent),
	}
	if !runs {
		v.State = "down"
	}
	slices.Reverse(v.Rows)
	return v
}

//go:embed page.html
var page []byte

func (d *demo) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'")
	_, _ = w.Write(page)
}

// look is the time between two views.
const look = 250 * time.Millisecond

// stream sends the view as server-sent events.
func (d *demo) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for tick := time.NewTicker(look); ; {
		b, _ := json.Marshal(d.look())
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}
