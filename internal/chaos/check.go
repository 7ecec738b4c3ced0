package chaos

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Kinds of finding.
const (
	Lost      = "lost"       // at or below the position, and neither delivered, held back nor a dead letter
	Forged    = "forged"     // a target has what the log has not: the log lost it, or it was never accepted
	Leaked    = "leaked"     // delivered although the gates hold it back
	Disorder  = "disorder"   // an older version took effect after a newer one
	Double    = "double"     // one event took effect twice at a target that knows its keys, or keys and events do not match
	WrongEnd  = "wrong end"  // the target does not end with what it should hold
	Hole      = "hole"       // a sequence is missing in the log
	SaidTwice = "said twice" // two events of the log for one change
	Unsaid    = "unsaid"     // an event for what the source did not say, or said in another order
	SilentGap = "silent gap" // the source said it, the log has no event, and no gap is shown
)

// Finding is one violation.
type Finding struct {
	Kind string
	Who  string // consumer or producer
	What string
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Kind, f.Who, f.What) }

// Row is the account of one consumer. Accepted = Delivered + Held + Dead + Pending + Lost.
type Row struct {
	Consumer                                  string
	Accepted, Delivered, Held, Dead, Pending  int
	Lost, Repeats, Refused, Late, LateAllowed int
}

// Report is the judgement on a run.
type Report struct {
	Rows     []Row
	Findings []Finding
}

func (r *Report) find(kind, who, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{kind, who, fmt.Sprintf(format, args...)})
}

// Check judges a run by the invariants: every accepted event is delivered, held back, dead-lettered or pending; no object goes back in
// time; a target that can refuse ends exact; the log has one event for each change, and one for every change.
func Check(run Run) Report {
	var r Report
	r.log(run.Log)
	for _, s := range run.Sources {
		r.source(s, run.Log)
	}
	for _, c := range run.Consumers {
		r.consumer(c, run.Log)
	}
	return r
}

// log checks that the log is whole and says nothing twice.
func (r *Report) log(log []Event) {
	last := map[string]Event{}
	for i, e := range log {
		if want := uint64(i + 1); i > 0 {
			if want = log[i-1].Seq + 1; e.Seq != want {
				r.find(Hole, "log", "event %d follows %d", e.Seq, log[i-1].Seq)
			}
		} else if e.Seq != want {
			r.find(Hole, "log", "it begins with event %d", e.Seq)
		}
		key := e.Producer + " " + e.ID
		before, known := last[key]
		if known && before.TakesBack() == e.TakesBack() && before.TLP == e.TLP && bytes.Equal(before.Object, e.Object) {
			r.find(SaidTwice, e.Producer, "events %d %s and %d %s say the same of %s", before.Seq, before.Op, e.Seq, e.Op, e.ID)
		}
		last[key] = e
	}
}

// source holds what the log has of a producer against what its source said: object by object, the events must be the changes in their
// order. Of a polled source some changes may be missing, but not the last.
func (r *Report) source(s Source, log []Event) {
	said, have := map[string][]Change{}, map[string][]Event{}
	for _, c := range s.Said {
		said[c.ID] = append(said[c.ID], c)
	}
	for _, e := range log {
		if e.Producer == s.Producer && e.Op != "retract" { // a retract is the bridge's word, on the tokens of the version before
			have[e.ID] = append(have[e.ID], e)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if said[id] == nil {
			r.find(Unsaid, s.Producer, "event %d of %s, of which the source knows nothing", have[id][0].Seq, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(said)) {
		changes, next := said[id], 0
		for _, e := range have[id] {
			at := slices.IndexFunc(changes[next:], func(c Change) bool {
				return c.Gone == e.TakesBack() && (c.Gone || c.Mark == s.Mark(e))
			})
			if at < 0 {
				r.find(Unsaid, s.Producer, "event %d %s %q of %s: the source did not say this at this point", e.Seq, e.Op, s.Mark(e), id)
				continue
			}
			if at > 0 && !s.Polled && !s.Gap {
				r.find(SilentGap, s.Producer, "%s: no event for %d changes before %d %q", id, at, e.Seq, s.Mark(e))
			}
			next += at + 1
		}
		rest := changes[next:]
		if len(rest) > 0 && s.Polled { // away and back between two reads is no change
			if last := changes[len(changes)-1]; next > 0 && last == changes[next-1] || next == 0 && last.Gone {
				rest = nil
			}
		}
		if len(rest) > 0 && !s.Gap {
			r.find(SilentGap, s.Producer, "%s: no event for the last %d changes, the newest %q", id, len(rest), rest[len(rest)-1].Mark)
		}
	}
}

// consumer accounts for every event of the log at one consumer.
func (r *Report) consumer(c Consumer, log []Event) {
	passes := c.Passes
	if passes == nil {
		passes = func(Event) bool { return true }
	}
	row := Row{Consumer: c.Name, Accepted: len(log), LateAllowed: c.Late}
	logged := make(map[uint64]Event, len(log))
	for _, e := range log {
		logged[e.Seq] = e
	}
	delivered := map[uint64]bool{}
	keys := map[string]uint64{}     // key → event
	newest := map[string]uint64{}   // object → highest sequence that took effect
	effect := map[uint64]bool{}     // events that took effect
	state := map[string]Event{}     // what the target holds
	disordered := map[string]bool{} // objects whose end is not judged, where lateness is allowed
	for _, g := range c.Receipts {
		want, ok := logged[g.Seq]
		switch {
		case !ok, want.ID != g.ID, want.EventID != g.EventID, want.Op == g.Op && !bytes.Equal(want.Object, g.Object):
			r.find(Forged, c.Name, "it was given %d %s %s (%s), the log has %d %s %s (%s)", g.Seq, g.Op, g.ID, g.EventID, want.Seq, want.Op, want.ID, want.EventID)
			continue
		case want.Op != g.Op && (g.Op != "retract" || passes(want)):
			r.find(Forged, c.Name, "it was given event %d as %s, it is %s", g.Seq, g.Op, want.Op)
		case want.Op == g.Op && !passes(want):
			r.find(Leaked, c.Name, "event %d %s %s of %s", g.Seq, g.TLP, g.Op, g.ID)
		}
		if delivered[g.Seq] {
			row.Repeats++
		}
		delivered[g.Seq] = true
		if g.Key != "" {
			if seq, ok := keys[g.Key]; ok && seq != g.Seq {
				r.find(Double, c.Name, "events %d and %d have one key, %s", seq, g.Seq, g.Key)
			} else if g.Key != g.EventID {
				r.find(Double, c.Name, "event %d has key %s, its id is %s", g.Seq, g.Key, g.EventID)
			}
			keys[g.Key] = g.Seq
		}
		if g.Refused || g.Known {
			if g.Refused {
				row.Refused++
			}
			continue
		}
		if c.Exact && effect[g.Seq] {
			r.find(Double, c.Name, "event %d of %s took effect twice", g.Seq, g.ID)
		}
		effect[g.Seq] = true
		if g.Seq < newest[g.ID] {
			row.Late++
			disordered[g.ID] = true
			if c.Late == 0 {
				r.find(Disorder, c.Name, "%s: event %d after %d", g.ID, g.Seq, newest[g.ID])
			}
		}
		newest[g.ID] = max(newest[g.ID], g.Seq)
		if g.TakesBack() {
			delete(state, g.ID)
		} else {
			state[g.ID] = g.Event
		}
	}
	if c.Late > 0 && row.Late > c.Late {
		r.find(Disorder, c.Name, "%d events after newer ones, more than the %d that can have been in flight", row.Late, c.Late)
	}
	r.account(&row, c, log, passes, delivered)
	r.end(c, log, passes, state, disordered)
	r.Rows = append(r.Rows, row)
}

// account puts every event of the log into one class.
func (r *Report) account(row *Row, c Consumer, log []Event, passes func(Event) bool, delivered map[uint64]bool) {
	dead := map[uint64]bool{}
	for _, seq := range c.Letters {
		dead[seq] = true
	}
	for i, e := range log {
		// A retract says that the version to come is on another level; who may see that one needs no retract.
		superseded := e.Op == "retract" && e.Context.Next && i+1 < len(log) && log[i+1].ID == e.ID && log[i+1].Producer == e.Producer && passes(log[i+1])
		switch {
		case delivered[e.Seq]:
			row.Delivered++
		case dead[e.Seq]:
			row.Dead++
		case e.Seq > c.Position:
			row.Pending++
		case !passes(e), superseded:
			row.Held++
		case c.Mirror: // judged by its end
			row.Delivered++
		default:
			row.Lost++
			r.find(Lost, c.Name, "event %d %s of %s: the position is %d", e.Seq, e.Op, e.ID, c.Position)
		}
	}
}

// end compares what the target holds with what the log, through the gates, leaves. Objects with events that are pending or dead are
// left out: their end is known to be open.
func (r *Report) end(c Consumer, log []Event, passes func(Event) bool, state map[string]Event, disordered map[string]bool) {
	want, open := map[string]Event{}, map[string]bool{}
	dead := map[uint64]bool{}
	for _, seq := range c.Letters {
		dead[seq] = true
	}
	for _, e := range log {
		if e.Seq > c.Position || dead[e.Seq] {
			open[e.ID] = true
		}
		switch {
		case c.Keeps && (e.TakesBack() || !passes(e)):
		case e.TakesBack() || !passes(e):
			delete(want, e.ID)
		default:
			want[e.ID] = e
		}
	}
	for id := range state {
		if _, ok := want[id]; !ok && !open[id] && !disordered[id] {
			r.find(WrongEnd, c.Name, "it holds %s, event %d, which it should not", id, state[id].Seq)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		have, ok := state[id]
		if open[id] || disordered[id] && !c.Exact || ok && bytes.Equal(have.Object, want[id].Object) {
			continue
		}
		r.find(WrongEnd, c.Name, "it holds event %d of %s, the newest is %d", have.Seq, id, want[id].Seq)
	}
}
