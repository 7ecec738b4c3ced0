package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

// plan is the timetable's measure; the same seed makes the same changes.
type plan struct {
	seed   uint64
	held   int           // indicators that the platform has when the clients start
	every  time.Duration // between two changes of the analysts
	calm   time.Duration // between faults
	denied time.Duration // how long the SIEM answers 401
	broken time.Duration // how long it answers 503
	burst  int           // changes of the import
}

var (
	full  = plan{seed: 1, held: 100, every: 50 * time.Millisecond, calm: 5 * time.Second, denied: 6 * time.Second, broken: 8 * time.Second, burst: 600}
	quick = plan{seed: 1, held: 30, every: 10 * time.Millisecond, calm: 300 * time.Millisecond, denied: time.Second, broken: time.Second, burst: 400}
)

const patience = 40 * time.Second

// play runs the timetable. Both lanes live through the same faults at the same moments.
func (d *demo) play(ctx context.Context) error {
	d.act("Both clients start; the platform already holds %d indicators", d.held)
	for _, l := range d.lanes() {
		l.run(ctx)
	}
	if err := d.admit(ctx); err != nil {
		return err
	}
	for _, l := range d.lanes() {
		if err := d.bell.until(ctx, patience, l.name+" does not deliver what the platform holds", func() bool { return d.complete(l.siem) }); err != nil {
			return fmt.Errorf("%w\n%s", err, l.tail())
		}
	}

	rest := d.analysts(ctx)
	d.act("Analysts work: %d changes a second", time.Second/d.every)
	d.pause(ctx, d.calm)
	d.act("The SIEM no longer accepts the token: 401 for %v", d.denied)
	if err := d.answer(ctx, http.StatusUnauthorized, d.denied); err != nil {
		return err
	}
	d.pause(ctx, d.calm)
	d.act("The SIEM is out of order: 503 for %v", d.broken)
	if err := d.answer(ctx, http.StatusServiceUnavailable, d.broken); err != nil {
		return err
	}
	d.pause(ctx, d.calm)
	if err := d.turnRed(ctx); err != nil {
		return err
	}
	if err := d.burstAndKill(ctx, rest); err != nil {
		return err
	}
	d.count()
	return d.emptyAndFill(ctx)
}

// analysts change something now and then until the returned function is called.
func (d *demo) analysts(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(d.every); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				d.platform.work()
			}
		}
	}()
	return func() { cancel(); <-done }
}

// answer makes every SIEM answer with a status for a while, and waits until the bridge has delivered what waited meanwhile.
func (d *demo) answer(ctx context.Context, status int, span time.Duration) error {
	for _, l := range d.lanes() {
		l.siem.set(status)
	}
	d.pause(ctx, span)
	for _, l := range d.lanes() {
		l.siem.set(http.StatusOK)
	}
	d.act("The SIEM takes events again")
	err := d.bell.until(ctx, patience, "stixbridge does not deliver what waited", func() bool { return d.complete(d.ours.siem) })
	if err == nil {
		d.act("stixbridge has delivered what waited")
	}
	return err
}

func (d *demo) pause(ctx context.Context, span time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(span):
	}
}

// turnRed makes an indicator that every SIEM holds TLP:RED.
func (d *demo) turnRed(ctx context.Context) error {
	var siems []*siem
	for _, l := range d.lanes() {
		siems = append(siems, l.siem)
	}
	if err := d.bell.until(ctx, patience, "no indicator is TLP:GREEN everywhere", func() bool {
		d.red = d.platform.pick(stix.Green, siems...)
		return d.red != ""
	}); err != nil {
		return err
	}
	d.act("An indicator that the SIEM has turns from GREEN to RED")
	d.platform.redden(d.red)
	if err := d.bell.until(ctx, patience, "the SIEM still holds what became red", func() bool { return !d.ours.siem.has(d.red) }); err != nil {
		return err
	}
	d.act("stixbridge took it back from the SIEM")
	return nil
}

// burstAndKill imports a lot at once, kills both clients when a third of it has arrived, and waits until no more comes.
func (d *demo) burstAndKill(ctx context.Context, rest func()) error {
	if d.stock != nil { // so that the stock client's position is saved as it is in one that has run for a while
		if err := d.bell.until(ctx, patience, "the stock client does not ping the platform", func() bool {
			c := d.platform.Connector(stockID)
			return c != nil && c.Pings >= 2
		}); err != nil {
			return err
		}
	}
	rest()
	before := d.platform.connections()
	d.act("An import of %d changes at once; kill -9 of each client amid it", d.burst)
	for _, l := range d.lanes() {
		l.siem.after(d.burst/4, func() {
			l.kill()
			told := d.told()
			d.act("%s: kill -9, %d of %d have arrived", l.name, l.siem.arrived(told), len(told))
		})
	}
	d.platform.burst(d.burst)
	err := d.bell.until(ctx, patience, "stixbridge does not deliver everything", func() bool {
		n, _ := d.ours.started()
		return n > 1 && d.complete(d.ours.siem) && d.partner.arrived(d.told()) == len(d.told())
	})
	if err != nil {
		return err
	}
	d.act("stixbridge is through")
	return d.idle(ctx, before, func() bool { return d.complete(d.stock.siem) })
}

// idle waits, where there is a stock client, until it follows the stream again, and then until it is done or has delivered nothing
// for three seconds. If it never is, the board shows how far it came.
func (d *demo) idle(ctx context.Context, before int, done func() bool) error {
	if d.stock == nil {
		return nil
	}
	var since time.Time
	_ = d.bell.until(ctx, patience, "", func() bool {
		if since.IsZero() && d.platform.connections() > before {
			since = time.Now()
		}
		return !since.IsZero() && (done() || time.Since(since) > 3*time.Second && d.stock.siem.quiet(3*time.Second))
	})
	return ctx.Err()
}

// emptyAndFill loses the SIEMs' tables, and does what an operator can do about it: a replay to this one target; at the stock
// client, the reset of its state in the platform, and a restart.
func (d *demo) emptyAndFill(ctx context.Context) error {
	for _, l := range d.lanes() {
		l.siem.empty()
	}
	d.act("The SIEM is emptied. stixbridge replay siem --from-seq 1")
	before := d.platform.connections()
	if d.stock != nil {
		d.act("The stock client's state is reset in the platform, and it is started again")
		d.platform.ResetState(stockID)
		d.stock.kill()
	}
	if err := d.command(ctx, "replay", "siem", "--from-seq", "1"); err != nil {
		return err
	}
	_, holds := d.platform.ledger()
	full := func(s *siem) bool { _, lacking, extra := s.compare(holds); return lacking+extra == 0 }
	err := d.bell.until(ctx, patience, "replay did not fill the SIEM", func() bool { return full(d.ours.siem) })
	if err == nil {
		d.act("stixbridge: the SIEM is as it was")
		err = d.idle(ctx, before, func() bool { return full(d.stock.siem) })
	}
	d.recount()
	return err
}

// admit waits for the bridge, and lets the partner in.
func (d *demo) admit(ctx context.Context) error {
	if err := d.bell.until(ctx, patience, "the bridge does not become ready", func() bool {
		r, err := http.Get(d.status + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	}); err != nil {
		return err
	}
	credentials := d.dir + "/partner.json"
	if err := d.command(ctx, "subscriber", "add", "partner", "--max-tlp", "green", "--credentials", credentials); err != nil {
		return err
	}
	return d.partner.subscribe(ctx, credentials)
}

// command runs a command of the bridge to its end.
func (d *demo) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, d.bridge, append(args, "-c", config)...)
	cmd.Env = append(os.Environ(), d.ours.env...)
	cmd.SysProcAttr = mortal()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stixbridge %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (d *demo) told() map[change]bool {
	told, _ := d.platform.ledger()
	return told
}

// complete reports whether a SIEM heard of everything that it should.
func (d *demo) complete(s *siem) bool {
	told := d.told()
	return s.arrived(told) == len(told)
}
