package engine

import (
	"strconv"
	"sync"

	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// skipped counts what the server left out for a consumer's gates, so that it is counted like what the gates themselves hold back.
type skipped struct {
	mu   sync.Mutex
	gate string
	n    uint64
	at   uint64 // last sequence seen
}

func (s *skipped) begin(gate string, from uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate, s.at = gate, from-min(from, 1)
}

// saw counts the sequences between what was seen before and seq; with mark, seq itself was left out, too.
func (s *skipped) saw(seq uint64, mark bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.at || s.gate == "" {
		return
	}
	s.n += seq - s.at
	if !mark {
		s.n--
	}
	s.at = seq
}

func (s *skipped) count() (gate string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate, s.n
}

// narrow chooses what the server is to leave out: only one gate's, so that it can be counted as that gate's.
// Of a consumer that several members share, it leaves out what others own, and nothing else.
func narrow(f delivery.Filter, partitions int) (filter []string, gate string) {
	if f.Partitions != nil && len(f.Partitions) < partitions {
		for _, p := range f.Partitions {
			filter = append(filter, eventlog.Prefix+"*.*.*.*."+strconv.Itoa(p))
		}
		return filter, ""
	}
	if len(f.Producers) > 0 {
		return eventlog.Filter(f.Producers, nil), "producers"
	}
	if filter = eventlog.Filter(nil, f.Types); filter != nil {
		gate = "types"
	}
	return filter, gate
}
