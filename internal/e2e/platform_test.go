package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	ids "github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// kill -9 at random moments while a live stream is followed, to a file and to a webhook: what the platform holds in the end is at the target,
// no object goes back in time, and the log has one event for each change.
func TestKilledAnywhereALiveStreamLosesAndRepeatsNoChange(t *testing.T) {
	for _, sink := range []string{"file", "webhook"} {
		t.Run(sink, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed(t), uint64(len(sink))))
			p := octitest.New(t, octitest.Options{})
			g := newTarget(t, func(int, []line, *http.Request) verdict { return verdict{} })
			consumers := "  - { kind: file, name: out, path: DIR/out.jsonl }\n"
			if sink == "webhook" {
				consumers = fmt.Sprintf("  - { kind: webhook, name: out, url: %q, producers: ['*'], max_tlp: red, concurrency: 4, start: all }\n", g.URL)
			}
			s := newSite(t, fmt.Sprintf("producers:\n  - { kind: opencti-live, name: octi, url: %q, token: %q, stream: %q }\nconsumers:\n%s", p.URL, p.Reader, p.Stream, consumers))
			taken := func() []line {
				if sink == "file" {
					if _, err := os.Stat(s.path("out.jsonl")); err != nil {
						return nil // killed before it had opened it
					}
					return read(t, s.path("out.jsonl"))
				}
				return g.got()
			}
			const objects = 60
			version := make([]int, objects)
			change := func(n int) {
				for range n {
					i := r.IntN(objects)
					version[i]++
					err := p.Upsert(map[string]any{"type": "malware", "spec_version": "2.1", "id": thingID("malware", i), "name": fmt.Sprintf("m%d", i),
						"description": fmt.Sprintf("v%d", version[i]), "is_family": true})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			for range kills() {
				q := s.start()
				for range 10 { // changes come in while it runs, and the kill among them
					change(30)
					time.Sleep(time.Duration(r.Int64N(int64(20 * time.Millisecond)))) // the moment, not a synchronisation
				}
				if !q.kill() {
					t.Fatalf("the bridge had ended by itself\n%s", tail(q.log))
				}
				change(20) // and some while it is away
			}
			q := s.start()
			await(t, patience, func() error {
				held := state(taken())
				for i, v := range version {
					if v == 0 {
						continue
					}
					var o struct{ Description string }
					_ = json.Unmarshal(held[thingID("malware", i)].Object, &o) // not there yet: empty
					if want := fmt.Sprintf("v%d", v); o.Description != want {
						return fmt.Errorf("object %d: the target has %q, the platform %q", i, o.Description, want)
					}
				}
				return nil
			})
			q.stop()
			log := s.tap()
			t.Logf("%d kills, %d events, %d deliveries", kills(), len(log), len(taken()))
			complete(t, log, taken())
			ordered(t, taken())
			singular(t, log)
		})
	}
}

// kill -9 at random moments while a feed goes into a platform through a real RabbitMQ: in the end the platform has the newest version of every object.
func TestKilledAnywhereAPlatformGetsEveryObject(t *testing.T) {
	b := testpeer.RabbitMQ(t)
	r := rand.New(rand.NewPCG(seed(t), 77))
	p := octitest.New(t, octitest.Options{Broker: octitest.Broker{Host: b.Host, Port: b.Port, VHost: b.VHost, User: b.User, Password: b.Password}})
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, tlp: clear }\nconsumers:\n"+
		"  - { kind: opencti, name: platform, url: %q, token: %q, producers: [feed], start: all }\n", p.URL, p.Token))
	const objects = 400
	version := make([]int, objects)
	write := func(share float64) {
		all := make([]string, objects)
		for i := range all {
			if version[i] == 0 || r.Float64() < share {
				version[i]++
			}
			all[i] = thing("malware", i, fmt.Sprintf(`"name":"m%d","is_family":true,"description":"v%d"`, i, version[i]))
		}
		s.write("feed.json", bundle(all...))
	}
	id := ids.ConnectorID(p.URL, "platform")
	working := false
	work := func() {
		if !working && p.Connector(id) != nil {
			p.Worker(id)
			working = true
		}
	}
	for range kills() {
		write(0.5)
		q := s.start()
		time.Sleep(time.Duration(r.Int64N(int64(2 * time.Second)))) // the moment, not a synchronisation
		if !q.kill() {
			t.Fatalf("the bridge had ended by itself\n%s", tail(q.log))
		}
		work()
	}
	write(0.5)
	q := s.start()
	await(t, patience, func() error {
		work()
		for i, v := range version {
			o := p.Object(thingID("malware", i))
			if want := fmt.Sprintf("v%d", v); o == nil || o["description"] != want {
				return fmt.Errorf("object %d: the platform has %v, the feed %s", i, o["description"], want)
			}
		}
		return nil
	})
	q.settled()
	q.stop()
	singular(t, s.tap())
	back := 0
	newest := map[string]string{}
	for _, i := range p.Imports() {
		d, _ := i.Object["description"].(string)
		if len(d) < len(newest[i.ID]) || len(d) == len(newest[i.ID]) && d < newest[i.ID] {
			back++
			t.Errorf("%s went back from %s to %s", i.ID, newest[i.ID], d)
		}
		newest[i.ID] = d
	}
	t.Logf("%d kills, %d imports of %d objects, %d went back", kills(), len(p.Imports()), objects, back)
}
