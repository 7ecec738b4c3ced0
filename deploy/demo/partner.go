package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/stix"
)

// partner subscribes to what is TLP:GREEN and below, with nothing but a NATS client and the address that the bridge prints.
type partner struct {
	bell *bell

	mu     sync.Mutex
	heard  map[change]int
	events int
	feed   int // of these, from the feed
	double int
	leaked int
}

// subjects of the event contract: stix.v1.<producer>.<tlp>.<op>.<type>.<partition>.
var subjects = []string{"stix.v1.*.clear.>", "stix.v1.*.green.>"}

// subscribe reads the context file below the bridge's directory, as `nats --context stixbridge` does, and listens until ctx ends.
func (p *partner) subscribe(ctx context.Context, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "nats", "context", "stixbridge.json"))
	if err != nil {
		return err
	}
	var at struct{ URL, User, Password string }
	if err := json.Unmarshal(b, &at); err != nil {
		return err
	}
	nc, err := nats.Connect(at.URL, nats.UserInfo(at.User, at.Password), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return err
	}
	// An ordered consumer goes on where it was when the server comes back.
	events, err := js.OrderedConsumer(ctx, "STIX", jetstream.OrderedConsumerConfig{FilterSubjects: subjects})
	if err != nil {
		nc.Close()
		return err
	}
	if _, err := events.Consume(p.take); err != nil {
		nc.Close()
		return err
	}
	context.AfterFunc(ctx, nc.Close)
	return nil
}

func (p *partner) take(m jetstream.Msg) {
	o, err := stix.Parse(m.Data())
	if err != nil {
		return
	}
	token := strings.Split(m.Subject(), ".")
	c := change{o.ID(), o.Modified(), token[4] == "delete" || token[4] == "retract" || token[4] == "expire"}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.bell.ring()
	p.events++
	if token[2] != "octi" {
		p.feed++
	} else if p.heard[c]++; p.heard[c] > 1 {
		p.double++
	}
	if markings.TLP(o).Rank() > ceiling.Rank() {
		p.leaked++
	}
}

// arrived counts the changes of a ledger that the partner heard of.
func (p *partner) arrived(told map[change]bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return common(p.heard, told)
}
