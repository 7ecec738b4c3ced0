package opencti

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/sse/ssetest"
)

// counter is an intake that counts.
type counter struct {
	*tape
	n, until int
}

func (c *counter) Put(context.Context, ...bridge.Change) error {
	if c.n++; c.n == c.until {
		return errStopped
	}
	return nil
}

// BenchmarkFollow reads events of 1.2 kB, one write each as the platform does, from the socket to the intake.
func BenchmarkFollow(b *testing.B) {
	const n = 20_000
	var text strings.Builder
	text.WriteString(ssetest.Format("", "connected", `{"firstEventId":"1-0","lastEventId":"9-0"}`))
	for i := range n {
		text.WriteString(ssetest.Format(fmt.Sprintf("%d-0", 1000+i), "update", object(i%500, strings.Repeat("x", 900), `,"origin":{"user_id":"u"},"context":{"reverse_patch":[{"op":"replace","path":"/name","value":"`+strings.Repeat("y", 100)+`"}]}`)))
	}
	s := ssetest.New(b, ssetest.Silent(text.String()))
	for b.Loop() {
		made, err := newProducer(section(s))
		if err != nil {
			b.Fatal(err)
		}
		in := &counter{tape: newTape(), until: n}
		if err := made.Produce(b.Context(), bridge.NewRun("octi", in, nil, nil)); !errors.Is(err, errStopped) {
			b.Fatal(err)
		}
		_ = made.(*producer).Close()
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "events/s")
}
