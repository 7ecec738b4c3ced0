package opencti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/internal/sse"
)

// message is one event of the stream.
type message = sse.Event

// errAgain asks for a new connection at once, from the cursor as it is now.
var errAgain = errors.New("connect again")

// Produce follows the stream for as long as ctx lives. Each connection goes on at the cursor.
func (p *producer) Produce(ctx context.Context, run *bridge.Run) error {
	f := &follower{p: p, run: run}
	if err := run.Cursor(ctx, &f.cur); err != nil {
		return err
	}
	if err := f.load(); err != nil {
		return err
	}
	tries, said := 0, ""
	for {
		progress := f.progress
		err := f.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errAgain):
			continue
		}
		var own *failure
		if errors.As(err, &own) {
			return own.error
		}
		if f.progress != progress {
			tries = 0
		}
		wait, err := f.after(ctx, err, tries)
		if errors.As(err, &own) {
			return own.error
		}
		tries++
		run.Health(err)
		if err != nil && err.Error() != said {
			said = err.Error()
			run.Log.Warn("live stream interrupted", "error", err, "wait", wait, "position", f.cur.ID)
		}
		if err := run.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// failure tells an error of the runtime, which ends Produce, from one of the stream.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

func fail(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err}
}

// open connects once.
func (p *producer) open(ctx context.Context, from, recover string, yield func(message) error) error {
	u := strings.TrimRight(p.URL, "/") + "/stream/" + p.Stream
	if recover != "" {
		u += "?recover=" + recover
	}
	h := http.Header{}
	h.Set("Authorization", "Bearer "+p.Token.Reveal())
	h.Set("Listen-Delete", strconv.FormatBool(p.ListenDelete))
	h.Set("No-Dependencies", strconv.FormatBool(p.NoDependencies))
	h.Set("With-Inferences", strconv.FormatBool(p.WithInferences))
	h.Set("User-Agent", opencti.Agent)
	return sse.Stream(ctx, sse.Request{URL: u, Header: h, LastEventID: from, Max: p.max, Idle: p.idle, Client: p.client}, yield)
}

// connect plays one connection from the cursor on.
func (f *follower) connect(ctx context.Context) error {
	f.begin()
	f.p.note(func(r *report) {
		r.connections++
		r.position, r.recovering = f.cur.ID, f.cur.RecoverUntil
	})
	defer f.settle()
	return f.p.open(ctx, f.cur.ID, f.cur.RecoverUntil, func(m message) error { return f.take(ctx, m) })
}

// after says how long to wait before the next connection, and what is wrong until then.
func (f *follower) after(ctx context.Context, err error, tries int) (time.Duration, error) {
	wait := time.Duration(float64(min(f.p.least<<min(tries, 10), f.p.most)) * (0.5 + rand.Float64()/2))
	var (
		refused *sse.HTTPError
		large   *sse.EventTooLargeError
	)
	switch {
	case errors.As(err, &refused):
		switch refused.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
			wait = max(min(f.p.mend<<min(tries, 10), f.p.refused), refused.RetryAfter)
		default:
			wait = max(wait, refused.RetryAfter)
		}
	case errors.As(err, &large):
		if f.tooLarge == large.ID && large.ID != "" {
			if serr := f.skip(ctx, large); serr != nil {
				return 0, fail(serr)
			}
			return 0, nil
		}
		f.tooLarge = large.ID
	}
	return wait, f.p.explain(err)
}

// explain says what an error of the stream means and what to do about it. It never shows the token, also where the peer sends it back.
func (p *producer) explain(err error) error {
	err = p.meaning(err)
	if err != nil && strings.Contains(err.Error(), p.Token.Reveal()) {
		return errors.New(strings.ReplaceAll(err.Error(), p.Token.Reveal(), p.Token.String()))
	}
	return err
}

func (p *producer) meaning(err error) error {
	var refused *sse.HTTPError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the platform ended the stream")
	case errors.Is(err, sse.ErrIdle):
		return fmt.Errorf("the platform has been silent for %v", p.idle)
	case !errors.As(err, &refused):
		return err
	}
	switch refused.Status {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w; check token and stream: the platform answers the same to a wrong token, to one that may not read this stream, and for a stream that does not exist", err)
	case http.StatusForbidden:
		return fmt.Errorf("%w; the token's user needs the capability to access data sharing (TAXIIAPI) and the markings that the collection filters on", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w; check url and stream: there is no such live stream", err)
	case http.StatusGone:
		return fmt.Errorf("%w; start the live stream in the platform, under Data sharing", err)
	}
	return err
}

// connected is what the stream says first.
type connected struct {
	First string `json:"firstEventId"`
	Last  string `json:"lastEventId"`
	Size  *int64 `json:"streamSize"`
}

// hello handles the connected event: it settles where a new producer begins, and notices a history that no longer reaches back to the
// cursor.
func (f *follower) hello(ctx context.Context, m message) error {
	var c connected
	if err := json.Unmarshal(m.Data, &c); err != nil {
		return fmt.Errorf("the stream's connected event cannot be read: %w", err)
	}
	first, hasFirst := parsePosition(c.First)
	last, hasLast := parsePosition(c.Last)
	if c.Size != nil && *c.Size == 0 || first == (position{}) {
		hasFirst = false
	}
	f.run.Health(nil)
	if f.cur.RecoverUntil != "" {
		return nil
	}
	if f.cur.ID == "" { // start: new
		if !hasLast {
			last = position{}
		}
		f.restart(last)
		f.cur.Empty = !hasFirst
		return f.commit(ctx)
	}
	begun, initial := f.cur.Begun, f.at == position{}
	lost := hasFirst && f.at.before(first)
	switch {
	case !hasFirst && !f.cur.Empty:
		f.cur.Empty, f.dirty = true, true
	case hasFirst && !lost && f.cur.Empty:
		f.cur.Empty, f.dirty = false, true
	case f.cur.Empty, f.cur.Recovered && first.ms <= f.at.ms+1: // the history begins after our position because there was none before
		lost = false
	}
	if lost && begun && f.gapAt != f.cur.ID {
		f.gapAt = f.cur.ID
		detail := "the platform trimmed its stream while nothing was read; what it holds now is read from its database, deletes and versions in between are lost"
		if !f.p.Recover {
			detail = "the platform trimmed its stream while nothing was read, and recover is off"
		}
		if err := f.gap(ctx, f.cur.ID, c.First, detail, f.p.Recover); err != nil {
			return err
		}
	}
	if !f.p.Recover || !lost && (begun || !initial) {
		if begun {
			return nil
		}
		f.cur.Begun = true
		return f.commit(ctx)
	}
	// Up to the newest event, by the platform's own clock: what comes after it is in the stream.
	until := time.Now()
	if hasLast && last.ms > 0 {
		until = last.time()
	}
	f.cur.Begun = true
	f.cur.RecoverUntil = until.UTC().Format("2006-01-02T15:04:05.000Z")
	f.run.Log.Info("reading the platform's database", "from", f.cur.ID, "until", f.cur.RecoverUntil)
	if err := f.commit(ctx); err != nil {
		return err
	}
	return errAgain
}

func (f *follower) gap(ctx context.Context, from, to, detail string, healed bool) error {
	f.run.Log.Warn("gap in the live stream", "from", from, "to", to, "healed", healed)
	return fail(f.run.Gap(ctx, bridge.Gap{From: from, To: to, Detail: detail, Healed: healed}))
}

// unrecovered handles the no-recover event: the platform will not read its database for this collection.
func (f *follower) unrecovered(ctx context.Context, m message) error {
	var d struct {
		Message string `json:"message"`
		Resume  string `json:"resume_from"`
	}
	_ = json.Unmarshal(m.Data, &d)
	resume, ok := parsePosition(d.Resume)
	if !ok {
		resume, ok = parsePosition(m.ID)
	}
	if f.cur.RecoverUntil == "" || !ok {
		return nil
	}
	if err := f.gap(ctx, f.cur.ID, resume.String(), "the platform does not recover this stream: "+d.Message, false); err != nil {
		return err
	}
	f.cur.RecoverUntil = ""
	f.restart(resume)
	return f.commit(ctx)
}
