package opencti

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
)

// A platform on which nothing happens beats, and that is enough: for thirty times as long as silence is allowed, nobody connects again or
// calls the source ill. An hour of the real limits is a hundred and twenty times.
func TestAPlatformOnWhichNothingHappensForLongIsHealthyOnOneConnection(t *testing.T) {
	p := octitest.New(t, octitest.Options{Heartbeat: 20 * time.Millisecond})
	const silence = 150 * time.Millisecond
	c := follow(p)
	c.Start = "new"
	tp, began, said := newTape(), time.Now(), false
	_ = play(t, c, tp, func(tp *tape) bool {
		if time.Since(began) < 30*silence {
			return false
		}
		if !said {
			said = true
			must(t, p.Upsert(identity1(1, "after")))
		}
		return len(tp.changes()) > 0
	}, func(p *producer) { p.idle = silence })
	if d := cmp.Diff([]string{"ok"}, tp.health); d != "" {
		t.Error("health:", d)
	}
	if n := len(p.StreamRequests()); n != 1 {
		t.Errorf("%d connections", n)
	}
	if d := cmp.Diff([]string{"create identity 00000001"}, words(tp.changes())); d != "" || len(tp.gaps) > 0 {
		t.Error(d, tp.gaps)
	}
}
