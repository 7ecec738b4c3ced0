package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sound is a run in which all is well: three objects of a followed source and a polled one, a gate, a dead letter, a retract, a repeat.
func sound() Run {
	event := func(seq uint64, op, tlp, id, mark string) Event {
		producer := "live"
		if id == "p" {
			producer = "polled"
		}
		return Event{Seq: seq, Producer: producer, TLP: tlp, Op: op, ID: id, EventID: fmt.Sprintf("key-%d", seq), Object: json.RawMessage(fmt.Sprintf(`{"mark":%q}`, mark))}
	}
	log := []Event{
		event(1, "create", "green", "a", "a1"),
		event(2, "create", "red", "b", "b1"), // held back
		event(3, "update", "green", "a", "a2"),
		event(4, "create", "green", "p", "p1"),
		event(5, "retract", "green", "a", "a2"), // its TLP rises
		event(6, "update", "red", "a", "a3"),
		event(7, "update", "green", "p", "p4"), // p2 and p3 came and went between two reads
		event(8, "create", "green", "c", "c1"), // dead letter
		event(9, "delete", "red", "b", "b1"),
		event(10, "create", "green", "d", "d1"),
		event(11, "update", "green", "d", "d2"),
	}
	mark := func(e Event) string {
		var o struct{ Mark string }
		_ = json.Unmarshal(e.Object, &o)
		return o.Mark
	}
	log[4].Context.Next = true
	green := func(e Event) bool { return e.TLP == "green" }
	get := func(seqs ...uint64) (all []Receipt) {
		for _, s := range seqs {
			all = append(all, Receipt{Event: log[s-1], Key: log[s-1].EventID})
		}
		return all
	}
	again := get(3)
	again[0].Known = true
	return Run{
		Log: log,
		Sources: []Source{
			{Producer: "live", Mark: mark, Said: []Change{
				{ID: "a", Mark: "a1"}, {ID: "b", Mark: "b1"}, {ID: "a", Mark: "a2"}, {ID: "a", Mark: "a3"}, {ID: "c", Mark: "c1"},
				{ID: "b", Gone: true}, {ID: "d", Mark: "d1"}, {ID: "d", Mark: "d2"},
			}},
			{Producer: "polled", Mark: mark, Polled: true, Said: []Change{{ID: "p", Mark: "p1"}, {ID: "p", Mark: "p2"}, {ID: "p", Mark: "p3"}, {ID: "p", Mark: "p4"}}},
		},
		Consumers: []Consumer{
			{Name: "exact", Passes: green, Receipts: slices.Concat(get(1, 3), again, get(4, 5, 7, 10, 11)), Letters: []uint64{8}, Position: 11, Exact: true},
			{Name: "plain", Receipts: get(1, 2, 3, 3, 4, 6, 7, 8, 9, 10), Position: 10}, // 5 is superseded by 6, 11 is pending
		},
	}
}

func TestASoundRunHasNoFindingAndItsAccountIsRight(t *testing.T) {
	r := Check(sound())
	for _, f := range r.Findings {
		t.Error(f)
	}
	want := []Row{
		{Consumer: "exact", Accepted: 11, Delivered: 7, Held: 3, Dead: 1, Repeats: 1},
		{Consumer: "plain", Accepted: 11, Delivered: 9, Held: 1, Pending: 1, Repeats: 1},
	}
	if d := cmp.Diff(want, r.Rows); d != "" {
		t.Error(d)
	}
	if table := r.Table(); strings.Count(table, "\n") != 3 || !strings.Contains(table, "LOST") {
		t.Errorf("table:\n%s", table)
	}
}

// A checker that cannot fail is worth nothing: each case breaks one thing of the sound run.
func TestTheCheckerFindsWhatIsBroken(t *testing.T) {
	without := func(all []Receipt, seq uint64) []Receipt {
		return slices.DeleteFunc(slices.Clone(all), func(g Receipt) bool { return g.Seq == seq })
	}
	swap := func(all []Receipt, a, b uint64) {
		i := slices.IndexFunc(all, func(g Receipt) bool { return g.Seq == a })
		j := slices.IndexFunc(all, func(g Receipt) bool { return g.Seq == b })
		all[i], all[j] = all[j], all[i]
	}
	for _, c := range []struct {
		name  string
		spoil func(*Run)
		want  []string // kinds, sorted
	}{
		{"an event below the position never came", func(r *Run) { r.Consumers[1].Receipts = without(r.Consumers[1].Receipts, 4) }, []string{Lost}},
		{"the newest version never came", func(r *Run) { r.Consumers[0].Receipts = without(r.Consumers[0].Receipts, 11) }, []string{Lost, WrongEnd}},
		{"a dead letter is not there", func(r *Run) { r.Consumers[0].Letters = nil }, []string{Lost, WrongEnd}},
		{"the position is past what is pending", func(r *Run) { r.Consumers[1].Position = 11 }, []string{Lost, WrongEnd}},
		{"a retract never came", func(r *Run) { r.Consumers[0].Receipts = without(r.Consumers[0].Receipts, 5) }, []string{Lost, WrongEnd}},
		{"a retract without a successor never came", func(r *Run) { r.Log[4].Context.Next = false }, []string{Lost}},
		{"two versions came in the wrong order", func(r *Run) { swap(r.Consumers[1].Receipts, 1, 3) }, []string{Disorder, Disorder}},
		{"a late call came after a newer version", func(r *Run) {
			r.Consumers[1].Receipts = append(r.Consumers[1].Receipts, r.Consumers[1].Receipts[0])
		}, []string{Disorder}},
		{"more late calls than can have been in flight", func(r *Run) {
			k := &r.Consumers[1]
			k.Late = 1
			k.Receipts = append(k.Receipts, k.Receipts[0], k.Receipts[1])
		}, []string{Disorder}},
		{"an event took effect twice where keys are known", func(r *Run) {
			k := &r.Consumers[0]
			k.Receipts = append(k.Receipts, k.Receipts[len(k.Receipts)-1])
		}, []string{Double}},
		{"an event came under another key", func(r *Run) { r.Consumers[0].Receipts[0].Key = "key-7" }, []string{Double, Double}},
		{"what the gate holds back was delivered", func(r *Run) {
			k := &r.Consumers[0]
			k.Receipts = append(slices.Clone(k.Receipts), Receipt{Event: r.Log[5], Key: "key-6"})
		}, []string{Leaked, WrongEnd}},
		{"the target has an event that the log lost", func(r *Run) {
			e := r.Log[10]
			e.Seq, e.EventID = 12, "key-12"
			r.Consumers[1].Receipts = append(r.Consumers[1].Receipts, Receipt{Event: e})
		}, []string{Forged}},
		{"the target has other content than the log", func(r *Run) { r.Consumers[1].Receipts[0].Object = json.RawMessage(`{}`) }, []string{Forged, Lost}},
		{"a sequence is missing in the log", func(r *Run) {
			r.Log = slices.Delete(r.Log, 3, 4)
			for i := range r.Consumers {
				r.Consumers[i].Receipts = without(r.Consumers[i].Receipts, 4)
			}
		}, []string{Hole}},
		{"the first event of the log is gone", func(r *Run) {
			r.Log = r.Log[1:]
			r.Sources[0].Said = r.Sources[0].Said[1:]
			for i := range r.Consumers {
				r.Consumers[i].Receipts = without(r.Consumers[i].Receipts, 1)
			}
		}, []string{Hole}},
		{"one change is two events", func(r *Run) {
			e := r.Log[10]
			e.Seq, e.EventID = 12, "key-12"
			r.Log = append(r.Log, e)
		}, []string{SaidTwice, Unsaid}},
		{"a change of a followed source has no event", func(r *Run) {
			said := r.Sources[0].Said
			r.Sources[0].Said = slices.Insert(slices.Clone(said), 3, Change{ID: "a", Mark: "a2b"})
		}, []string{SilentGap}},
		{"the last change of a followed source has no event", func(r *Run) { r.Sources[0].Said = append(r.Sources[0].Said, Change{ID: "d", Mark: "d3"}) }, []string{SilentGap}},
		{"the last change of a polled source has no event", func(r *Run) { r.Sources[1].Said = append(r.Sources[1].Said, Change{ID: "p", Mark: "p5"}) }, []string{SilentGap}},
		{"an object of a polled source is gone and the log does not say so", func(r *Run) { r.Sources[1].Said = append(r.Sources[1].Said, Change{ID: "p", Gone: true}) }, []string{SilentGap}},
		{"the log has what nobody said", func(r *Run) { r.Sources[1].Said = r.Sources[1].Said[:3] }, []string{SilentGap, Unsaid}},
		{"the log has changes in another order", func(r *Run) {
			s := r.Sources[0].Said
			s[6], s[7] = s[7], s[6]
		}, []string{SilentGap, Unsaid}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := sound()
			c.spoil(&run)
			r := Check(run)
			var have []string
			for _, f := range r.Findings {
				have = append(have, f.Kind)
			}
			slices.Sort(have)
			if !slices.Equal(slices.Compact(slices.Clone(have)), slices.Compact(slices.Clone(c.want))) {
				t.Errorf("findings %q, want %q\n%s", have, c.want, r.Summary())
			}
		})
	}
}

func TestTheCheckerAllowsWhatIsPromised(t *testing.T) {
	for _, c := range []struct {
		name string
		vary func(*Run)
	}{
		{"late calls, as many as were in flight", func(r *Run) {
			k := &r.Consumers[1]
			k.Late = 2
			k.Receipts = append(k.Receipts, k.Receipts[0], k.Receipts[1])
		}},
		{"late calls that the target refused", func(r *Run) {
			g := r.Consumers[0].Receipts[0]
			g.Refused = true
			r.Consumers[0].Receipts = append(r.Consumers[0].Receipts, g)
		}},
		{"a gap that is shown", func(r *Run) {
			r.Sources[0].Gap = true
			r.Sources[0].Said = append(r.Sources[0].Said, Change{ID: "d", Mark: "d3"})
		}},
		{"away and back between two reads", func(r *Run) {
			r.Sources[1].Said = append(r.Sources[1].Said, Change{ID: "p", Gone: true}, Change{ID: "p", Mark: "p4"})
		}},
		{"a mirror that was given the last version for all", func(r *Run) {
			k := &r.Consumers[1]
			k.Mirror, k.Position = true, 11
			k.Receipts = []Receipt{{Event: r.Log[6]}, {Event: r.Log[5]}, {Event: r.Log[7]}, {Event: r.Log[10]}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := sound()
			c.vary(&run)
			if r := Check(run); len(r.Findings) > 0 {
				t.Error(r.Summary())
			}
		})
	}
}
