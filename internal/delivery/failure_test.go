package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
)

func TestAnOutageConsumesNothingAndCountsAgainstNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		for i := range 500 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		sink.set(func(context.Context, []bridge.Event) error { return errors.New("connection refused") })
		cfg := w.config(sink)
		cfg.Concurrency = 4
		r := w.start(cfg)
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		s := r.Status(500)
		if s.Health != bridge.Retrying || s.Error != "connection refused" || s.Position != 0 || s.NextTry.IsZero() {
			t.Errorf("status %+v", s)
		}
		if sink.count() < 600 || sink.count() > 1200 {
			t.Errorf("%d calls in six hours", sink.count())
		}
		sink.set(nil)
		began := time.Now()
		r.drain()
		if took := time.Since(began); took > 35*time.Second {
			t.Errorf("recovery took %s", took)
		}
		if diff := cmp.Diff(upTo(500), sorted(sink.seqs())); diff != "" {
			t.Error(diff)
		}
		if len(w.lettered()) != 0 {
			t.Errorf("letters: %v", w.lettered())
		}
	})
}

func TestOneEventThatAlwaysFailsBecomesALetterAndTheRestArrives(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(batch []bridge.Event) error
	}{
		{"the batch fails as a whole", func(batch []bridge.Event) error {
			if slices.ContainsFunc(batch, func(e bridge.Event) bool { return e.Object.ID() == "indicator--7" }) {
				return errors.New("500")
			}
			return nil
		}},
		{"the target names it", func(batch []bridge.Event) error {
			var b bridge.BatchError
			for i, e := range batch {
				if e.Object.ID() == "indicator--7" {
					b.Fail(i, errors.New("500"))
				}
			}
			return b.Err()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sink := newWorld(t), &target{}
				for i := range 100 {
					w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
				}
				sink.set(func(_ context.Context, batch []bridge.Event) error { return c.fail(batch) })
				r := w.start(w.config(sink))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if n := len(sink.seqs()); n != 99 {
					t.Errorf("%d arrived in 5 s", n)
				}
				if len(w.lettered()) != 0 {
					t.Error("a letter though nothing else succeeded meanwhile")
				}
				for i := range 120 { // life goes on
					w.put(bridge.Event{Object: obj(fmt.Sprint("later", i), 1)})
					time.Sleep(2 * time.Second)
				}
				r.drain()
				if diff := cmp.Diff([]uint64{8}, w.lettered()); diff != "" {
					t.Error(diff)
				}
				if n := len(sink.seqs()); n != 219 {
					t.Errorf("%d arrived", n)
				}
				for _, l := range w.letters {
					if l.Reason != ReasonPoison || l.Error != "500" || l.Attempts < poisonAfter {
						t.Errorf("letter %+v", l)
					}
				}
			})
		})
	}
}

func TestAPermanentErrorCostsOneEventAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		reason string
	}{{"permanent", bridge.Permanent(errors.New("400")), ReasonPermanent}, {"panic", nil, ReasonPanic}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sink := newWorld(t), &target{}
				for i := range 64 {
					w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
				}
				sink.set(func(_ context.Context, batch []bridge.Event) error {
					for _, e := range batch {
						if e.Seq == 9 || e.Seq == 10 {
							if c.err == nil {
								panic("index out of range")
							}
							return c.err
						}
					}
					return nil
				})
				began := time.Now()
				w.start(w.config(sink)).drain()
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %s", took)
				}
				if diff := cmp.Diff([]uint64{9, 10}, w.lettered()); diff != "" {
					t.Error(diff)
				}
				if len(sink.seqs()) != 62 {
					t.Errorf("%d arrived", len(sink.seqs()))
				}
				for _, l := range w.letters {
					if l.Reason != c.reason {
						t.Errorf("reason %q", l.Reason)
					}
				}
			})
		})
	}
}

func TestThePositionWaitsForTheLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		full := true
		w.failStore = func(Letter) error {
			if full {
				return errors.New("no space")
			}
			return nil
		}
		sink.set(func(context.Context, []bridge.Event) error { return bridge.Permanent(errors.New("400")) })
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.Status(1); s.Position != 0 || s.Health != bridge.Unhealthy || s.Error != "dead letters: no space" {
			t.Errorf("status %+v", s)
		}
		w.mu.Lock()
		full = false
		w.mu.Unlock()
		r.drain()
		if diff := cmp.Diff([]uint64{1}, w.lettered()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnAuthenticationErrorPausesUntilTheTargetAcceptsUsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		for i := range 60 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		sink.set(func(context.Context, []bridge.Event) error { return bridge.Paused(errors.New("401")) })
		cfg := w.config(sink)
		cfg.Concurrency = 4
		r := w.start(cfg)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if s := r.Status(60); s.Health != bridge.Refused || s.Error != "401" || s.Position != 0 {
			t.Errorf("status %+v", s)
		}
		if sink.count() > 10 {
			t.Errorf("%d calls in 3 s", sink.count())
		}
		time.Sleep(24 * time.Hour)
		sink.set(nil)
		began := time.Now()
		r.drain()
		if took := time.Since(began); took > 31*time.Second {
			t.Errorf("resumed after %s", took)
		}
		if len(sink.seqs()) != 60 || len(w.lettered()) != 0 {
			t.Errorf("%d arrived, letters %v", len(sink.seqs()), w.lettered())
		}
	})
}

func TestRetryAfterLeavesTheTargetAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		began := time.Now()
		sink.set(func(context.Context, []bridge.Event) error {
			if time.Since(began) < 40*time.Second {
				return bridge.RetryAfter(errors.New("429"), 40*time.Second)
			}
			return nil
		})
		for i := range 10 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		w.start(w.config(sink)).drain()
		if sink.count() != 2 || time.Since(began) < 40*time.Second {
			t.Errorf("%d calls, %s", sink.count(), time.Since(began))
		}
	})
}

func TestADeliveryThatAnswersTooLateIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		first := true
		sink.set(func(ctx context.Context, _ []bridge.Event) error {
			if first {
				first = false
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		time.Sleep(60*time.Second + 100*time.Millisecond)
		synctest.Wait()
		if s := r.Status(1); s.Error != "no answer within 1m0s (context deadline exceeded)" {
			t.Errorf("error %q", s.Error)
		}
		r.drain()
		if sink.story() != "create a1@1" || sink.got[0].Attempt != 2 {
			t.Errorf("%s, attempt %d", sink.story(), sink.got[0].Attempt)
		}
	})
}
