package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// streams compares a live stream's way into the durable log (received, decided, every event synced, latest objects written) with OpenCTI's own
// client whose callback only counts and stores nothing, and with a bare reader that looks for the ends of the events.
func streams(ctx context.Context, b *bench) error {
	for _, mix := range []string{mixIndicators, mixAttack} {
		if err := b.streaming(ctx, mix); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) streaming(ctx context.Context, mix string) error {
	python, skipped, err := b.python()
	if err != nil {
		return err
	}
	n := b.live
	t, err := record(mix, n, 0)
	if err != nil {
		return err
	}
	size := sizes(t.sizes)
	var ours, peer, bare side
	for i := range b.runs {
		s, err := b.followed(ctx, mix, n)
		if err != nil {
			return err
		}
		ours = append(ours, s)
		if s, err = b.barely(ctx, mix, n); err != nil {
			return err
		}
		bare = append(bare, s)
		if skipped == "" {
			if s, err = b.pycti(ctx, python, mix, n); err != nil {
				return err
			}
			peer = append(peer, s)
		}
		_ = i
	}
	what := "live stream → durable log, " + mix
	b.versus(comparison{name: what, against: "a bare reader of the stream", n: n, ours: ours, bare: bare, size: size, unit: "events/s"})
	if skipped != "" {
		b.add(result{Name: what, Against: "pycti that only counts", Target: "≥ 0.50", Skipped: skipped})
		return nil
	}
	b.versus(comparison{name: what, against: "pycti that only counts", n: n, ours: ours, bare: peer, least: 0.5, size: size, unit: "events/s"})
	return nil
}

// liveProducer is the configuration of the producer in all sections.
func liveProducer(url string) string {
	return fmt.Sprintf("producers: [ { kind: opencti-live, name: octi, url: %q, token: t, stream: live, start: all, recover: false } ]\n", url)
}

// followed runs the bridge on a tape; the time begins with the first byte of an event at the source.
func (b *bench) followed(ctx context.Context, mix string, n int) (s sample, err error) {
	p, url, err := b.platform("-mix", mix, "-events", fmt.Sprint(n))
	if err != nil {
		return s, err
	}
	defer p.stop()
	settle()
	dir := b.newDir()
	defer os.RemoveAll(dir)
	k, err := b.launch(ctx, dir, "", liveProducer(url))
	if err != nil {
		return s, err
	}
	defer k.close()
	before := k.used().cpu
	end, err := k.stored(ctx, n)
	if err != nil {
		return s, err
	}
	r, err := told(url)
	u := k.used()
	return sample{wall: end.Sub(time.Unix(0, r.Begun)), cpu: u.cpu - before, peak: u.peak}, err
}

// pycti runs OpenCTI's client on the same tape.
func (b *bench) pycti(ctx context.Context, python, mix string, n int) (s sample, err error) {
	p, url, err := b.platform("-mix", mix, "-events", fmt.Sprint(n))
	if err != nil {
		return s, err
	}
	defer p.stop()
	settle()
	r, w, err := os.Pipe()
	if err != nil {
		return s, err
	}
	defer r.Close()
	c, err := b.listening(python, "count", url, n, w)
	w.Close()
	if err != nil {
		return s, err
	}
	defer c.kill()
	for { // its own start is not part of the figure
		rep, err := told(url)
		if err = errors.Join(err, c.alive("OpenCTI's client")); err != nil {
			return s, err
		}
		if rep.Begun > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	before := c.used().cpu
	end, err := counted(c, r)
	if err != nil {
		return s, err
	}
	rep, err := told(url)
	u := c.used()
	return sample{wall: end.Sub(time.Unix(0, rep.Begun)), cpu: u.cpu - before, peak: u.peak}, err
}

// barely reads the tape with nothing but a buffer.
func (b *bench) barely(ctx context.Context, mix string, n int) (s sample, err error) {
	p, url, err := b.platform("-mix", mix, "-events", fmt.Sprint(n))
	if err != nil {
		return s, err
	}
	defer p.stop()
	settle()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/stream/live", nil)
	if err != nil {
		return s, err
	}
	before := burnt()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	got := 0
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for got < n {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return s, errors.Join(err, io.ErrUnexpectedEOF)
		}
		if strings.HasPrefix(string(line[:min(len(line), 4)]), "id: ") {
			got++
		}
	}
	end := time.Now()
	cpu := burnt() - before
	r, err := told(url)
	return sample{wall: end.Sub(time.Unix(0, r.Begun)), cpu: cpu}, err
}
