package bridge

import (
	"maps"
	"slices"
)

// healths in the order of what a person should know first.
var healths = []string{Unhealthy, Refused, Retrying, Stopped, Starting, Healthy, Idle, Offline}

// And puts what two processes tell of one consumer together: the position is the lower one, the health the worse one, counts add up.
func (s ConsumerStatus) And(o ConsumerStatus) ConsumerStatus {
	if slices.Index(healths, o.Health) < slices.Index(healths, s.Health) {
		s.Health, s.Error, s.Since, s.NextTry = o.Health, o.Error, o.Since, o.NextTry
	}
	s.Position, s.Lag, s.OldestAge = min(s.Position, o.Position), max(s.Lag, o.Lag), max(s.OldestAge, o.OldestAge)
	s.InFlight += o.InFlight
	s.Rate += o.Rate
	s.Delivered += o.Delivered
	s.Retracted += o.Retracted
	s.Retries += o.Retries
	s.Deliveries += o.Deliveries
	s.Late += o.Late
	s.Members += o.Members
	s.Share = nil
	held := maps.Clone(s.Held)
	for gate, n := range o.Held {
		if held == nil {
			held = map[string]uint64{}
		}
		held[gate] += n
	}
	s.Held = held
	if s.Replay == nil || o.Replay != nil && o.Replay.Done < s.Replay.Done {
		s.Replay = o.Replay
	}
	if s.Overtaken == 0 || o.Overtaken > 0 && o.Overtaken < s.Overtaken {
		s.Overtaken = o.Overtaken
	}
	return s
}
