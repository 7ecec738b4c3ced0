package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/stix"
)

// change is one thing that a SIEM may hear about an indicator: a version of it, or that it is to go.
type change struct {
	id, version string // version: modified, of the last one that the SIEM may see when it is to go
	gone        bool
}

// platform is the stand-in, the analysts who work on it, and a ledger: what a SIEM for ceiling and below should hear and hold.
type platform struct {
	*octitest.Platform

	mu    sync.Mutex
	r     *rand.Rand
	fresh []map[string]any // indicators that are not on it yet
	ids   []string         // of those that are
	tlp   map[string]stix.TLP
	holds map[string]string // id → version, as far as the ceiling lets see
	told  map[change]bool
	sent  int // changes of indicators, whatever their marking
}

// ceiling of the SIEM.
const ceiling = stix.Green

// marking ids of the platform.
var marking = map[stix.TLP]string{
	stix.Clear: "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",
	stix.Green: "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
	stix.Amber: "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
	stix.Red:   "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}

// newPlatform starts a platform that holds some indicators, and little else.
func newPlatform(h octitest.Host, seed uint64, held int) (*platform, error) {
	p := &platform{
		Platform: octitest.New(h, octitest.Options{Heartbeat: 5 * time.Second}),
		r:        rand.New(rand.NewPCG(seed, 0)), tlp: map[string]stix.TLP{}, holds: map[string]string{}, told: map[change]bool{},
	}
	for _, file := range []string{"testdata/tweetfeed.json", "deploy/demo/testdata/opencti.json", "deploy/demo/testdata/indicators.json.gz"} {
		objects, err := read(file)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			switch {
			case o["type"] == "indicator" && file != "testdata/tweetfeed.json": // that one is the bridge's own feed
				p.fresh = append(p.fresh, o)
			case o["type"] != "indicator" && o["type"] != "marking-definition":
				if err := p.Upsert(o); err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
			}
		}
	}
	p.r.Shuffle(len(p.fresh), func(i, k int) { p.fresh[i], p.fresh[k] = p.fresh[k], p.fresh[i] })
	for range held {
		p.create()
	}
	return p, nil
}

func read(file string) (all []map[string]any, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := stix.Open(f)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	for objects := stix.NewReader(plain); ; {
		e, err := objects.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		var o map[string]any
		if err := json.Unmarshal(e.Object.Raw(), &o); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, o)
	}
}

// work does what analysts do: of ten changes four are new indicators, five other scores, and one is a deletion.
func (p *platform) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := p.r.IntN(10); {
	case n < 4 && len(p.fresh) > 0:
		p.create()
	case n < 9:
		p.score(p.ids[p.r.IntN(len(p.ids))])
	default:
		p.remove(p.r.IntN(len(p.ids)))
	}
}

// create makes a new indicator: two of ten are TLP:AMBER or TLP:RED, which the SIEM must not see.
func (p *platform) create() {
	o := p.fresh[0]
	p.fresh = p.fresh[1:]
	id := o["id"].(string)
	tlp := []stix.TLP{stix.Clear, stix.Clear, stix.Clear, stix.Clear, stix.Clear, stix.Green, stix.Green, stix.Green, stix.Amber, stix.Red}[p.r.IntN(10)]
	o["object_marking_refs"] = []any{marking[tlp]}
	p.ids = append(p.ids, id)
	p.upsert(o, tlp)
}

func (p *platform) score(id string) { p.upsert(rated(id, 1+p.r.IntN(100)), p.tlp[id]) }

// rated is what the platform is given to change a score.
func rated(id string, score int) map[string]any {
	return map[string]any{"type": "indicator", "id": id, "extensions": map[string]any{octitest.Extension: map[string]any{"score": score}}}
}

// burst is what an import does: n changes at once, three of four are new indicators.
func (p *platform) burst(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.r.Perm(len(p.ids))
	for i := range n {
		switch {
		case len(p.fresh) > 0 && (i%4 > 0 || len(known) == 0):
			p.create()
		case len(known) > 0:
			p.score(p.ids[known[0]])
			known = known[1:]
		}
	}
}

// redden makes an indicator TLP:RED, with a description that nobody else may read.
func (p *platform) redden(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upsert(map[string]any{"type": "indicator", "id": id, "object_marking_refs": []any{marking[stix.Red]}, "description": "Seen at a victim who must not be named."}, stix.Red)
	p.upsert(rated(id, 99), stix.Red)
}

// upsert changes an indicator and writes the ledger; the caller holds the lock.
func (p *platform) upsert(o map[string]any, tlp stix.TLP) {
	id := o["id"].(string)
	before := p.version(id)
	for time.Now().UTC().Format(stamp) <= before { // versions of one object differ by a millisecond
		time.Sleep(time.Millisecond)
	}
	if err := p.Upsert(o); err != nil {
		panic(err) // the demo made the object
	}
	now := p.version(id)
	if now == before {
		return // the score was that already: no event
	}
	p.sent++
	p.tlp[id] = tlp
	old, seen := p.holds[id]
	switch {
	case tlp.Rank() <= ceiling.Rank():
		p.holds[id] = now
		p.told[change{id, now, false}] = true
	case seen:
		delete(p.holds, id)
		p.told[change{id, old, true}] = true
	}
}

const stamp = "2006-01-02T15:04:05.000Z"

// version of an indicator that the platform holds.
func (p *platform) version(id string) string {
	v, _ := p.Object(id)["modified"].(string)
	return v
}

func (p *platform) remove(i int) {
	id := p.ids[i]
	p.ids = append(p.ids[:i], p.ids[i+1:]...)
	if err := p.Delete(id); err != nil {
		panic(err)
	}
	p.sent++
	if v, seen := p.holds[id]; seen {
		delete(p.holds, id)
		p.told[change{id, v, true}] = true
	}
}

// pick returns an indicator of a level that all of the SIEMs hold.
func (p *platform) pick(tlp stix.TLP, siems ...*siem) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.ids {
		all := p.tlp[id] == tlp
		for _, s := range siems {
			all = all && s.has(id)
		}
		if all {
			return id
		}
	}
	return ""
}

// ledger returns copies of what a SIEM should have heard so far, and of what it should hold now.
func (p *platform) ledger() (told map[change]bool, holds map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.told), maps.Clone(p.holds)
}

// connections counts how often the stock client, which alone uses the writer's token, has opened the stream.
func (p *platform) connections() (n int) {
	for _, r := range p.StreamRequests() {
		if r.Header.Get("Authorization") == "Bearer "+p.Token {
			n++
		}
	}
	return n
}
