package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/stix"
)

// partner is an outside party with an account of its own in the broker, which lets it have what is TLP:GREEN and below. It needs no
// more than a NATS client and the credentials file.
type partner struct {
	bell *bell

	mu     sync.Mutex
	heard  map[change]int
	events int
	feed   int // of these, from the feed
	double int
	leaked int
}

// subscribe logs in with the credentials and receives until ctx ends.
func (p *partner) subscribe(ctx context.Context, credentials string) error {
	b, err := os.ReadFile(credentials)
	if err != nil {
		return err
	}
	var c struct {
		URL, User, Password string
		APIPrefix           string `json:"jetstream_api_prefix"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	nc, err := nats.Connect(c.URL, nats.UserInfo(c.User, c.Password), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, nc.Close)
	js, err := jetstream.NewWithAPIPrefix(nc, c.APIPrefix)
	if err != nil {
		return err
	}
	position, err := js.Consumer(ctx, "STIX", "partner")
	if err != nil {
		return err
	}
	_, err = position.Consume(p.take)
	return err
}

func (p *partner) take(m jetstream.Msg) {
	defer func() { _ = m.Ack() }() // one that gets lost means that the event comes again
	o, err := stix.Parse(m.Data())
	if err != nil {
		return
	}
	token := strings.Split(m.Subject(), ".") // stix.v1.<producer>.<tlp>.<op>.<type>.<partition>
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
