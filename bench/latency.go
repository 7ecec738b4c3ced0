package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	steadyRate = 1000 // events a second of the latency section
	steadyFor  = 10   // seconds of one run
)

// latency looks at how long an event takes from its byte at the source to the call of the sink, through the durable log, at a steady rate; and
// holds it against what the disk takes for one fdatasync meanwhile.
func latency(ctx context.Context, b *bench) error {
	var p50, p99, disk50, disk99, idle99 []float64
	const name = "from the stream's byte to the sink's call"
	for range b.runs {
		r, busy, idle, err := b.steady(ctx)
		if err != nil {
			return err
		}
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b50, b99, _ := quantiles(busy)
		_, i99, _ := quantiles(idle)
		p50, p99 = append(p50, ms(r.Sink.P50)), append(p99, ms(r.Sink.P99))
		disk50, disk99, idle99 = append(disk50, ms(b50)), append(disk99, ms(b99)), append(idle99, ms(i99))
	}
	mid := func(all []float64) float64 { m, _, _ := quantiles(all); return m }
	x := result{Name: fmt.Sprintf("%s, %d events/s", name, steadyRate), Against: "fdatasync of 1.2 kB in the same run", Unit: "ms, p99", Ours: mid(p99), Bare: mid(disk99),
		P50: mid(p50), P99: mid(p99), Target: "≤ 10", Runs: b.runs,
		Note: fmt.Sprintf("fdatasync p50 %.2f ms, p99 %.2f ms meanwhile, %.2f ms with nothing else", mid(disk50), mid(disk99), mid(idle99))}
	x.Ratio = x.Ours / x.Bare
	for i := range p99 {
		q := p99[i] / disk99[i]
		if x.Low == 0 || q < x.Low {
			x.Low = q
		}
		x.High = max(x.High, q)
	}
	x.Met = x.Ratio <= 10
	b.add(x)
	return nil
}

func (b *bench) steady(ctx context.Context) (r report, busy, idle []time.Duration, err error) {
	n := steadyRate * steadyFor
	idle, err = b.probe(100, nil)
	if err != nil {
		return r, nil, nil, err
	}
	p, url, err := b.platform("-events", fmt.Sprint(n), "-rate", fmt.Sprint(steadyRate))
	if err != nil {
		return r, nil, nil, err
	}
	defer p.stop()
	dir := b.newDir()
	defer os.RemoveAll(dir)
	k, err := b.launch(ctx, dir, "", liveProducer(url)+sinkOf(url, "concurrency: 8"))
	if err != nil {
		return r, nil, nil, err
	}
	defer k.close()
	stop := make(chan struct{})
	var probing sync.WaitGroup
	var perr error
	probing.Go(func() { busy, perr = b.probe(0, stop) })
	r, err = sunk(ctx, url, n, k.child)
	close(stop)
	probing.Wait()
	if err == nil {
		err = perr
	}
	return r, busy, idle, err
}

// probe appends 1.2 kB to a file every 20 ms and notes how long the disk takes for it: n times, or until stop.
func (b *bench) probe(n int, stop chan struct{}) (took []time.Duration, err error) {
	f, err := os.Create(filepath.Join(b.tmp, "probe"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	text := make([]byte, 1200)
	for n == 0 || len(took) < n {
		select {
		case <-stop:
			return took, nil
		case <-tick.C:
		}
		begun := time.Now()
		if _, err := f.Write(text); err != nil {
			return took, err
		}
		if err := datasync(f); err != nil {
			return took, err
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}
