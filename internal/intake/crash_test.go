package intake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
)

var errCrash = errors.New("crash")

func TestACrashBetweenTwoWritesLosesAndDoublesNothing(t *testing.T) {
	feed := func(n int) []bridge.Change {
		var c []bridge.Change
		for i := range n {
			c = append(c, bridge.Change{Object: obj(t, fmt.Sprintf(`{"type":"tool","id":"tool--00000000-0000-4000-8000-%012d","name":"v"}`, i))})
		}
		return c
	}
	for _, point := range []string{intake.AtStored, intake.AtProjected} {
		t.Run(point, func(t *testing.T) {
			w := open(t, t.TempDir(), "a")
			in := w.intake("a", intake.Options{}.CrashAt(point, errCrash))
			put(t, in, feed(20)...)
			if err := in.Commit(t.Context(), json.RawMessage(`{"n":20}`)); err != nil && !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			if err := in.Flush(t.Context()); !errors.Is(err, errCrash) {
				t.Fatalf("flush says %v, want the crash", err)
			}
			// The successor reads the source from its cursor; to be sure, from the beginning.
			in = w.intake("a", intake.Options{})
			put(t, in, feed(25)...)
			flush(t, in)
			if n := len(w.events()); n != 25 {
				t.Errorf("%d events in the log, want 25", n)
			}
			if c, err := w.Latest.Checkpoint(t.Context(), "a"); err != nil || c.EventSeq != 25 {
				t.Errorf("checkpoint %+v, %v; want event 25", c, err)
			}
		})
	}
}

func TestTheCursorNeverPassesWhatIsStored(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{}.CrashAt(intake.AtProjected, errCrash))
	if err := in.Commit(t.Context(), json.RawMessage(`{"n":1}`)); err != nil && !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if err := in.Flush(t.Context()); !errors.Is(err, errCrash) {
		t.Fatalf("flush says %v, want the crash", err)
	}
	in = w.intake("a", intake.Options{})
	if c, _ := in.Cursor(t.Context()); c != nil {
		t.Errorf("cursor %s is there although it was never stored", c)
	}
	put(t, in, bridge.Change{Object: tool(t, "A")})
	if err := in.Commit(t.Context(), json.RawMessage(`{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	flush(t, in)
	in = w.intake("a", intake.Options{})
	if c, _ := in.Cursor(t.Context()); string(c) != `{"n":2}` {
		t.Errorf("cursor %s, want the one of the last event", c)
	}
	if err := in.Commit(t.Context(), json.RawMessage(`{"n":3}`)); err != nil { // no event since: the state bucket holds it
		t.Fatal(err)
	}
	flush(t, in)
	in = w.intake("a", intake.Options{})
	if c, _ := in.Cursor(t.Context()); string(c) != `{"n":3}` {
		t.Errorf("cursor %s, want the later one of the state bucket", c)
	}
}

func TestARepeatedSourceEventIsSilentAlsoAfterARestart(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	changes := func() []bridge.Change {
		return []bridge.Change{
			{Object: tool(t, "A"), SourceEvent: "1"}, {Object: tool(t, "B"), SourceEvent: "2"}, {Object: tool(t, "A"), SourceEvent: "3"},
		}
	}
	in := w.intake("a", intake.Options{Aliases: true})
	put(t, in, changes()[:2]...)
	flush(t, in)
	in = w.intake("a", intake.Options{Aliases: true}) // no cursor was committed: the source sends the group again
	put(t, in, changes()...)
	flush(t, in)
	want(t, w.events(), "create unmarked tool A", "update unmarked tool B", "update unmarked tool A")
}

// A cursor that no event carried goes to the state bucket a while later. What the source said in between comes again, and must be known
// as said: else an older version would be taken for news, and stay.
func TestWhatCameAfterACursorWithoutEventIsSilentWhenTheSourceRepeatsIt(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{Aliases: true})
	put(t, in, bridge.Change{Object: tool(t, "A"), SourceEvent: "1"})
	flush(t, in)
	if err := in.Commit(t.Context(), json.RawMessage(`{"after":1}`)); err != nil {
		t.Fatal(err)
	}
	put(t, in, bridge.Change{Object: tool(t, "B"), SourceEvent: "2"})
	flush(t, in) // writes the cursor
	put(t, in, bridge.Change{Object: tool(t, "C"), SourceEvent: "3"})
	flush(t, in)
	in = w.intake("a", intake.Options{Aliases: true})
	if c, _ := in.Cursor(t.Context()); string(c) != `{"after":1}` {
		t.Fatalf("cursor %s", c)
	}
	put(t, in, bridge.Change{Object: tool(t, "B"), SourceEvent: "2"}, bridge.Change{Object: tool(t, "C"), SourceEvent: "3"})
	flush(t, in)
	want(t, w.events(), "create unmarked tool A", "update unmarked tool B", "update unmarked tool C")
}

func TestARenameAndAMergeTakeTheOldIdsBack(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{Aliases: true})
	const id2, id3 = "tool--22222222-2222-4222-8222-222222222222", "tool--33333333-3333-4333-8333-333333333333"
	named := func(id, name string) bridge.Change {
		return bridge.Change{Object: obj(t, `{"type":"tool","id":"`+id+`","name":"`+name+`"}`), Alias: "internal-" + name}
	}
	put(t, in, named(id1, "x"), named(id3, "y"))
	put(t, in, named(id2, "x")) // the same thing under another id
	m := named(id2, "x2")
	m.Op, m.Alias, m.Sources = bridge.Merge, "internal-x", append(m.Sources, named(id3, "y").Object)
	put(t, in, m)
	flush(t, in)
	want(t, w.events(), "create unmarked tool x", "create unmarked tool y", "retract unmarked tool x renamed", "create unmarked tool x",
		"merge unmarked tool x2", "delete unmarked tool y merged")
}

func TestRetentionLowersTheFenceAndTheWriterGoesOn(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{})
	put(t, in, bridge.Change{Object: tool(t, "A")})
	flush(t, in)
	if _, err := eventlog.Erase(t.Context(), w.Store, id1, "", "test"); err != nil { // takes the writer's last event away
		t.Fatal(err)
	}
	put(t, in, bridge.Change{Object: tool(t, "A")})
	flush(t, in)
	want(t, w.events(), "create unmarked tool A")
	erased, err := eventlog.ErasedSince(t.Context(), w.State, 1)
	info, ierr := w.Log.Info(t.Context())
	if err != nil || ierr != nil || erased < info.State.NumDeleted {
		t.Errorf("erased %d, deleted %d (%v, %v): the alarm would ring", erased, info.State.NumDeleted, err, ierr)
	}
}

// Whoever takes over within the first seconds must go on where the first one began, not where it finds the source by then.
func TestTheFirstCursorIsDurableBeforeAnythingElseIsRead(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{})
	if err := in.Commit(t.Context(), json.RawMessage(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	in = w.intake("a", intake.Options{}) // the first one is not asked to finish
	if c, _ := in.Cursor(t.Context()); string(c) != `{"n":1}` {
		t.Errorf("cursor %q, want the one that was committed", c)
	}
}

// A source that resumes far back repeats itself over many cursors.
func TestRepetitionsOverManyCursorsAreSilentAfterARestart(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	changes := func() []bridge.Change {
		return []bridge.Change{
			{Object: tool(t, "A"), SourceEvent: "1"}, {Object: tool(t, "B"), SourceEvent: "2"}, {Object: tool(t, "C"), SourceEvent: "3"},
		}
	}
	in := w.intake("a", intake.Options{Aliases: true})
	put(t, in, changes()...)
	flush(t, in)
	in = w.intake("a", intake.Options{Aliases: true}) // no cursor was committed: all comes again
	for i, c := range changes() {
		put(t, in, c)
		for range 3 {
			if err := in.Commit(t.Context(), json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, in)
	}
	want(t, w.events(), "create unmarked tool A", "update unmarked tool B", "update unmarked tool C")
}
