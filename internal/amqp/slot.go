package amqp

import "github.com/rabbitmq/amqp091-go"

type outcome int

const (
	pending   outcome = iota
	confirmed         // the broker has it
	returned          // the broker had no queue for it, whatever it confirmed
	nacked            // the broker said no
	lost              // the connection ended first: unknown
)

// slot is one message on its way.
type slot struct {
	msg  Message
	dc   *amqp091.DeferredConfirmation // set by the writer
	done chan struct{}                 // closed when out is set
	out  outcome
}

func (p *Publisher) settle(s *slot, out outcome) {
	s.out = out
	p.count(func(c *Counts) {
		switch out {
		case confirmed:
			c.Confirmed++
		case returned:
			c.Returned++
		case nacked:
			c.Nacked++
		}
	})
	p.bytes.Release(p.weight(s.msg))
	p.slots.Release(1)
	close(s.done)
}

// weight of a message in the window of bytes; one that is larger than the window fills it.
func (p *Publisher) weight(m Message) int64 { return int64(min(len(m.Body), p.c.Bytes)) }

// rememberAtMost bounds the settled messages that nobody came back for.
const rememberAtMost = 4096

// remember keeps a message whose caller leaves before its confirmation.
func (p *Publisher) remember(s *slot) {
	if s.msg.ID == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.memory) >= rememberAtMost {
		for id, old := range p.memory {
			select {
			case <-old.done:
				delete(p.memory, id)
			default:
			}
		}
	}
	p.memory[s.msg.ID] = s
}

// recall returns the slot of an earlier call for the same message, unless that is known not to have arrived.
func (p *Publisher) recall(id string) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.memory[id]
	if s == nil {
		return nil
	}
	delete(p.memory, id)
	select {
	case <-s.done:
		if s.out != confirmed {
			return nil
		}
	default:
	}
	return s
}

// Left is how many messages are still under way though their caller left before their confirmation.
func (p *Publisher) Left() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.memory {
		select {
		case <-s.done:
		default:
			n++
		}
	}
	return n
}
