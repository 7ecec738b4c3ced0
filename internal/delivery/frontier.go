package delivery

import "sync"

// frontier knows up to which place of a scan everything is done, when things end out of order.
type frontier struct {
	mu   sync.Mutex
	open []*place // in the order of the scan; the first is not done
	done uint64   // everything up to here is done
	seen uint64   // the scan has come this far
}

type place struct {
	at   uint64
	done bool
}

// begin notes something under way.
func (f *frontier) begin(at uint64) *place {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &place{at: at}
	f.open = append(f.open, p)
	f.seen = max(f.seen, at)
	return p
}

// pass notes that the scan has come to a place with nothing under way there, or nothing new.
func (f *frontier) pass(at uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = max(f.seen, at)
	if len(f.open) == 0 {
		f.done = max(f.done, f.seen)
	}
}

// end notes that something is done.
func (f *frontier) end(p *place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.done = true
	for len(f.open) > 0 && f.open[0].done {
		f.done = max(f.done, f.open[0].at)
		f.open = f.open[1:]
	}
	if len(f.open) == 0 {
		f.done = max(f.done, f.seen)
	}
}

// at returns up to where everything is done, and where the scan is.
func (f *frontier) at() (done, seen uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done, f.seen
}
