package web

import (
	"math"
	"sync"
	"time"
)

const (
	historyStep  = 10 * time.Second
	historySlots = int64(time.Hour / historyStep)
)

// history remembers the last hour of what the curves show, in memory only: 5.6 KiB a curve.
type history struct {
	mu    sync.Mutex
	rings map[string]*ring
}

// ring holds one value for each step of the last hour; a slot counts only while at names the step that is asked for.
type ring struct {
	at  [historySlots]int64
	val [historySlots]float64
}

func newHistory() *history { return &history{rings: map[string]*ring{}} }

// add records a look; of several in one step the last counts. Curves of names that are gone are dropped.
func (h *history) add(s snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := make(map[string]*ring, len(h.rings))
	step := s.At.UnixNano() / int64(historyStep)
	set := func(key string, v float64) {
		r := h.rings[key]
		if r == nil {
			r = &ring{}
		}
		r.at[step%historySlots], r.val[step%historySlots] = step, v
		kept[key] = r
	}
	var in, out float64
	for _, p := range s.Producers {
		set("rate "+p.Name, p.Rate)
		in += p.Rate
	}
	for _, c := range s.Consumers {
		set("rate "+c.Name, c.Rate)
		set("lag "+c.Name, float64(c.Lag))
		out += c.Rate
	}
	set("in", in)
	set("out", out)
	h.rings = kept
}

// last returns the hour before now in n equal spans, oldest first: the highest value of each, NaN where none is known.
func (h *history) last(key string, now time.Time, n int) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	points := make([]float64, n)
	for i := range points {
		points[i] = math.NaN()
	}
	r := h.rings[key]
	if r == nil {
		return points
	}
	end := now.UnixNano() / int64(historyStep)
	for back := range historySlots {
		step := end - back
		if step < 0 || r.at[step%historySlots] != step {
			continue
		}
		i := int((historySlots - 1 - back) * int64(n) / historySlots)
		if v := r.val[step%historySlots]; math.IsNaN(points[i]) || v > points[i] {
			points[i] = v
		}
	}
	return points
}
