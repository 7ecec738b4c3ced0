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

	"github.com/stixbridge/stixbridge/internal/broker"
)

// streams compares a live stream's way into the durable log (received, decided, every event synced, latest objects written) with OpenCTI's own
// client whose callback only counts and stores nothing, and with a bare pair of batches that stores the same from memory. How fast the stand-in can
// be read at all is said beside it.
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
	var ours, peer, bare, read side
	var stored *pair
	for range b.runs {
		s, err := b.followed(ctx, mix, n, &stored)
		if err != nil {
			return err
		}
		ours = append(ours, s)
		if err := b.bare(ctx, func(k *broker.Broker) error {
			t, err := clock(func() error { return stored.publish(ctx, k.Conn(), b.batch) })
			bare = append(bare, t)
			return err
		}); err != nil {
			return err
		}
		if s, err = b.barely(ctx, mix, n); err != nil {
			return err
		}
		read = append(read, s)
		if skipped == "" {
			if s, err = b.pycti(ctx, python, mix, n); err != nil {
				return err
			}
			peer = append(peer, s)
		}
	}
	what := "live stream → durable log, " + mix
	note := fmt.Sprintf("a reader that does nothing gets %s events/s", number(float64(n)/read.median(wall).Seconds()))
	b.versus(comparison{name: what, against: "a bare pair of batches", n: n, ours: ours, bare: bare, size: size, unit: "events/s", note: note})
	if skipped != "" {
		b.add(result{Name: what, Against: "pycti that only counts", Target: "≥ 0.50", Skipped: skipped})
		return nil
	}
	b.versus(comparison{name: what, against: "pycti that only counts", n: n, ours: ours, bare: peer, least: 0.5, unit: "events/s"})
	return nil
}

// liveProducer is the configuration of the producer in all sections.
func liveProducer(url string) string {
	return fmt.Sprintf("producers: [ { kind: opencti-live, name: octi, url: %q, token: t, stream: live, start: all, recover: false } ]\n", url)
}

// followed runs the bridge on a tape; the time begins with the first byte of an event at the source.
func (b *bench) followed(ctx context.Context, mix string, n int, stored **pair) (s sample, err error) {
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
	s = sample{wall: end.Sub(time.Unix(0, r.Begun)), cpu: u.cpu - before, peak: u.peak}
	if err != nil || *stored != nil {
		return s, err
	}
	k.close() // the store is needed
	a, err := b.attach(ctx, dir)
	if err != nil {
		return s, err
	}
	*stored, err = capture(ctx, a.Broker().JS(), n)
	return s, errors.Join(err, a.Detach())
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
