package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Servers alone, without a bridge: is a replica of a compressed stream whole after kill -9? With nats-server 2.15.2 it is not, within a
// minute: "smb.truncate: error reading compression reader: s2: unsupported input", and the replica stays out of its group. Run it with
// NATS_S2=1 when the server is updated; NATS_S2=0 is the same without compression, which holds.
func TestReplicasOfACompressedStreamOutliveAKill(t *testing.T) {
	mode := os.Getenv("NATS_S2")
	if mode == "" {
		t.Skip("a question to the server, not to the bridge; NATS_S2=1 asks it")
	}
	compression := jetstream.NoCompression
	if mode == "1" {
		compression = jetstream.S2Compression
	}
	c := newCluster(t, t.TempDir())
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.client))
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "STIX", Subjects: []string{"stix.>"}, Replicas: 3, MaxBytes: 64 << 20, Compression: compression}); err != nil {
		t.Fatal(err)
	}
	text, n, acked := strings.Repeat("x", 600), 0, 0
	stop := keep(time.Millisecond, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		n++
		if _, err := js.Publish(ctx, fmt.Sprintf("stix.%d", n%16), []byte(fmt.Sprint(n, text))); err == nil {
			acked++
		}
		return nil // servers come and go
	}, func(error) {})
	defer stop()
	r := rand.New(rand.NewPCG(1, 1))
	torn := regexp.MustCompile(`compression reader|unsupported input`)
	for round := range 14 {
		time.Sleep(time.Duration(500+r.IntN(1500)) * time.Millisecond) // the moment, not a synchronisation
		victims := c.nodes
		if r.IntN(2) == 0 {
			victims = c.nodes[r.IntN(3):][:1]
		}
		for _, n := range victims {
			n.kill()
		}
		for _, n := range victims {
			if err := c.start(n); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range victims {
			if err := c.ready(n, 30*time.Second); err != nil {
				t.Errorf("round %d: %s: %v", round, n.name, err)
			}
		}
		for _, n := range c.nodes {
			if mentions(n.log(), 0, torn) == nil {
				t.Fatalf("round %d: the store of %s is torn", round, n.name)
			}
		}
	}
	stop()
	t.Logf("%d messages acknowledged", acked)
}
