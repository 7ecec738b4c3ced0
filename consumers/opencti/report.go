package opencti

import (
	"log/slog"
	"maps"
	"sync"

	"github.com/stixbridge/stixbridge/stix"
)

// Reasons for which an event does not go to the platform; keys of Report.
const (
	heldEcho      = "from_this_platform"
	heldSame      = "platform_has_the_same"
	heldInferred  = "inferred"
	heldDelete    = "delete_ignored"
	worksGivenUp  = "works_given_up"
	errorsUnnamed = "errors_unnamed"
)

// counts since the process began.
type counts struct {
	mu       sync.Mutex
	messages uint64
	rejected uint64
	newer    uint64 // versions sent after an older one that went along
	held     map[string]uint64
	refused  map[string]uint64 // objects that the platform does not take, by type
}

func (c *counts) sent(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages += uint64(n)
}

func (c *counts) reject() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejected++
}

func (c *counts) hold(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[string]uint64{}
	}
	c.held[why]++
}

func (c *counts) overtake(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newer += uint64(n)
}

// refuse counts an object that cannot be sent, and names the first of each type in the log.
func (c *counts) refuse(log *slog.Logger, d stix.Dropped) {
	c.mu.Lock()
	if c.refused == nil {
		c.refused = map[string]uint64{}
	}
	c.refused[d.Type]++
	first := c.refused[d.Type] == 1
	c.mu.Unlock()
	if first {
		log.Warn("the platform does not take this object; more of its type are only counted", "type", d.Type, "id", d.ID, "reason", d.Reason)
	}
}

// Report implements bridge.Reporter: queued is what the platform's queue holds, sent what it was given, imported and rejected what its
// workers said since this process began, unsupported what it does not take, by type, overtaken what went along and had a newer version by then.
func (s *sink) Report() map[string]any {
	s.mu.Lock()
	q, ses := s.queue, s.session
	s.mu.Unlock()
	m := map[string]any{"queued": q.messages, "queued_bytes": q.bytes, "waiting_for_queue": q.waiting}
	if ses != nil {
		m["connector"] = ses.id
		if ses.publisher != nil {
			if why := ses.publisher.Blocked(); why != "" {
				m["blocked"] = why
			}
		}
	}
	s.works.mu.Lock()
	imported, expected := s.works.done.imported, s.works.done.expected
	for _, k := range s.works.open {
		expected += k.track.Expected
		imported += max(0, k.track.Processed-len(k.seen))
	}
	m["works_open"], m["imported"], m["expected"] = len(s.works.open), imported, expected
	s.works.mu.Unlock()
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	m["sent"], m["rejected"] = s.counts.messages, s.counts.rejected
	if s.counts.newer > 0 {
		m["overtaken"] = s.counts.newer
	}
	for k, n := range s.counts.held {
		m[k] = n
	}
	if len(s.counts.refused) > 0 {
		m["unsupported"] = maps.Clone(s.counts.refused)
	}
	return m
}
