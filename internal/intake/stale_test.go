package intake_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
)

// A writer is stopped between the log and STIX_LATEST, another one takes over and goes on, and the first one wakes up: what it still writes
// must not put old objects, or an old checkpoint, over what the other knows.
func TestAWriterThatWakesUpDoesNotTurnTheLatestObjectsBack(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	var once sync.Once
	asleep, awake := make(chan struct{}), make(chan struct{})
	stale := w.intake("a", intake.Options{}.Visit(intake.AtStored, func() {
		once.Do(func() { close(asleep); <-awake })
	}))
	put(t, stale, bridge.Change{Object: tool(t, "A1")})
	<-asleep
	in := w.intake("a", intake.Options{})
	put(t, in, bridge.Change{Object: tool(t, "A2")})
	if err := in.Commit(t.Context(), json.RawMessage(`{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	flush(t, in)
	latest := func() (eventlog.Entry, eventlog.Checkpoint) {
		t.Helper()
		all, err := w.Latest.Of(t.Context(), "tool", id1)
		c, cerr := w.Latest.Checkpoint(t.Context(), "a")
		if err != nil || cerr != nil || len(all) != 1 {
			t.Fatal(all, err, cerr)
		}
		return all[0], c
	}
	before, check := latest()
	close(awake)
	if err := stale.Flush(t.Context()); err == nil {
		t.Error("the one that woke up was not told")
	}
	after, now := latest()
	if d := cmp.Diff(before.Seq, after.Seq) + cmp.Diff(check, now); d != "" {
		t.Errorf("what is latest was turned back (-before it woke up +after):\n%s", d)
	}
	put(t, in, bridge.Change{Object: tool(t, "A2")}) // still no news
	flush(t, in)
	if n := len(w.events()); n != 2 {
		t.Errorf("%d events: %q", n, w.events())
	}
}
