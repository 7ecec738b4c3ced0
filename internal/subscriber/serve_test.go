package subscriber

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

func TestASubscriberReceivesWhatIsWithinItsCeilingByAStockClient(t *testing.T) {
	bothBrokers(t, func(t *testing.T, r *rig) {
		for _, level := range []stix.TLP{stix.Clear, stix.Green, stix.Amber, stix.AmberStrict, stix.Red, stix.Unmarked} {
			r.event("feed", level, bridge.Create, "malware", level.String())
		}
		r.event("feed", stix.Green, bridge.Retract, "tool", "taken-back")
		r.event("other", stix.Green, bridge.Expire, "indicator", "expired")
		for _, c := range []struct {
			sub  Subscriber
			want string
		}{
			{Subscriber{Name: "clear-only", MaxTLP: stix.Clear}, "clear"},
			{Subscriber{Name: "green", MaxTLP: stix.Green}, "clear green taken-back expired"},
			{Subscriber{Name: "amber", MaxTLP: stix.Amber}, "clear green amber unmarked taken-back expired"},
			{Subscriber{Name: "strict", MaxTLP: stix.AmberStrict}, "clear green amber amber_strict unmarked taken-back expired"},
			{Subscriber{Name: "red", MaxTLP: stix.Red}, "clear green amber amber_strict red unmarked taken-back expired"},
			{Subscriber{Name: "one-type", MaxTLP: stix.Red, Types: []string{"tool"}}, "taken-back"},
			{Subscriber{Name: "one-producer", MaxTLP: stix.Green, Producers: []string{"other"}}, "expired"},
			{Subscriber{Name: "both", MaxTLP: stix.Green, Producers: []string{"other", "feed"}, Types: []string{"tool", "indicator"}}, "taken-back expired"},
		} {
			pass := r.add(c.sub)
			all := r.drain(r.durable(r.login(c.sub.Name, pass), c.sub.Name))
			if texts(all) != c.want {
				t.Errorf("%s received %q, want %q", c.sub.Name, texts(all), c.want)
			}
			for _, g := range all {
				if !c.sub.Sees(g.Subject) {
					t.Errorf("%s received %s", c.sub.Name, g.Subject)
				}
			}
		}
	})
}

func TestALargePayloadIsFetchedInPartsWithinTheCeiling(t *testing.T) {
	bothBrokers(t, func(t *testing.T, r *rig) {
		large := make([]byte, 3<<20+12345)
		for i := range large {
			large[i] = byte(i * i >> 7)
		}
		green, err := r.store.Blobs.Put(t.Context(), stix.Green, large)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 { // others lie between its chunks
			if _, err := r.store.Blobs.Put(t.Context(), stix.Green, append(bytes.Clone(large[:200<<10]), byte(i))); err != nil {
				t.Fatal(err)
			}
		}
		red, err := r.store.Blobs.Put(t.Context(), stix.Red, []byte("red"))
		if err != nil {
			t.Fatal(err)
		}
		nc := r.login("gamma", r.add(Subscriber{Name: "gamma", MaxTLP: stix.Green}))
		fetch := func(ref string) (got []byte, parts int, problem string) {
			for ask := ref; ; parts++ {
				m, err := nc.Request(APIPrefix+".BLOB", []byte(ask), 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if problem = m.Header.Get("Nats-Service-Error"); problem != "" {
					return got, parts, problem
				}
				got = append(got, m.Data...)
				next := m.Header.Get(HeaderBlobNext)
				if next == "" {
					if m.Header.Get(HeaderBlobSize) != fmt.Sprint(len(got)) {
						t.Errorf("%d bytes, said were %s", len(got), m.Header.Get(HeaderBlobSize))
					}
					return got, parts + 1, ""
				}
				ask = ref + " " + next
			}
		}
		got, parts, problem := fetch(green)
		if !bytes.Equal(got, large) || problem != "" {
			t.Errorf("%d bytes of %d, %s", len(got), len(large), problem)
		}
		if parts < 3 {
			t.Errorf("in %d parts", parts)
		}
		absent := green[:len(green)-4] + "0000"
		for _, ref := range []string{red, absent, "stix_blobs_clear/" + green[len("stix_blobs_green/"):]} {
			if got, _, problem := fetch(ref); len(got) > 0 || problem != notThere {
				t.Errorf("%s: %d bytes, %q", ref, len(got), problem)
			}
		}
	})
}

func TestRotateAndRemoveEndConnectionsAtOnceAndPositionsStayOrGo(t *testing.T) {
	r := newRig(t)
	first := r.event("feed", stix.Green, bridge.Create, "tool", "one")
	old := r.add(Subscriber{Name: "gamma", MaxTLP: stix.Green})
	nc := r.login("gamma", old, nats.NoReconnect())
	if got := texts(r.drain(r.durable(nc, "gamma"))); got != "one" {
		t.Fatalf("received %q", got)
	}
	r.event("feed", stix.Green, bridge.Create, "tool", "two")
	s, pass, err := Rotate(t.Context(), r.store, "gamma")
	if err != nil || pass == old || s.Rotated.IsZero() {
		t.Fatal(s, err)
	}
	closed := func(nc *nats.Conn) func() error {
		return func() error {
			if nc.IsConnected() {
				return errors.New("the connection is still open")
			}
			return nil
		}
	}
	await(t, closed(nc))
	if _, err := nats.Connect(r.b.URL(), nats.UserInfo("subscriber.gamma", old), nats.NoReconnect()); err == nil {
		t.Error("the old password still opens the door")
	}
	nc = r.login("gamma", pass, nats.NoReconnect())
	if got := texts(r.drain(r.durable(nc, "gamma"))); got != "two" {
		t.Errorf("after the rotation received %q; the position must stay", got)
	}

	if err := Remove(t.Context(), r.store, "gamma"); err != nil {
		t.Fatal(err)
	}
	await(t, closed(nc))
	if _, err := nats.Connect(r.b.URL(), nats.UserInfo("subscriber.gamma", pass), nats.NoReconnect()); err == nil {
		t.Error("who is removed still gets in")
	}
	if _, err := r.store.JS.Consumer(t.Context(), eventlog.StreamEvents, "gamma"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("the position is still there: %v", err)
	}
	for _, f := range []func() error{
		func() error { return Remove(t.Context(), r.store, "gamma") },
		func() error { _, _, err := Rotate(t.Context(), r.store, "gamma"); return err },
		func() error { _, err := Get(t.Context(), r.store.State, "no.name"); return err },
	} {
		if err := f(); !errors.Is(err, ErrUnknown) {
			t.Errorf("%v, want %v", err, ErrUnknown)
		}
	}
	// The name is free again, with another ceiling, and begins anew.
	again := r.login("gamma", r.add(Subscriber{Name: "gamma", MaxTLP: stix.Clear}))
	if all := r.drain(r.durable(again, "gamma")); len(all) != 0 || first == 0 {
		t.Errorf("a later clear subscriber of that name received %v", all)
	}
}

func TestSubscribersOutlastARestartAndClientsReconnectByThemselves(t *testing.T) {
	r := newRig(t)
	pass := r.add(Subscriber{Name: "gamma", MaxTLP: stix.Green})
	nc := r.login("gamma", pass, nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond), nats.ReconnectJitter(0, 0))
	c := r.durable(nc, "gamma")
	listen := strings.TrimPrefix(r.b.URL(), "nats://")
	for i := range 3 {
		r.stop()
		r.openOn(listen)
		r.event("feed", stix.Green, bridge.Create, "tool", fmt.Sprint("life ", i))
		await(t, func() error { // a client that is refused twice gives up for good
			if nc.IsClosed() {
				t.Fatalf("restart %d: the client was turned away: %v", i, nc.LastError())
			}
			batch, err := c.Fetch(1, jetstream.FetchMaxWait(time.Second))
			if err != nil {
				return err
			}
			if m := <-batch.Messages(); m != nil {
				if !strings.Contains(string(m.Data()), fmt.Sprint("life ", i)) {
					t.Errorf("received %s", m.Data())
				}
				return m.Ack()
			}
			return errors.Join(batch.Error(), errors.New("nothing yet"))
		})
	}
	for _, name := range []string{"accounts.json", "credentials.json"} {
		info, err := os.Stat(filepath.Join(r.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "accounts.json"))
	if err != nil || strings.Contains(string(text), pass) || !strings.Contains(string(text), "gamma") {
		t.Errorf("the file of accounts: %v %s", err, text)
	}
}

func TestASubscriberWhoseDurableWasWidenedByHandIsNotLetIn(t *testing.T) {
	r := newRig(t)
	r.event("feed", stix.Red, bridge.Create, "tool", "CANARY")
	pass := r.add(Subscriber{Name: "gamma", MaxTLP: stix.Green})
	for _, filters := range [][]string{{"stix.v1.>"}, {"stix.v1.*.*.*.*.*"}, {"stix.v1.*.green.*.*.*", "stix.v1.*.red.>"}, {"stix.v1.feed.red.create.tool.*"}} {
		c, err := r.store.JS.Consumer(t.Context(), eventlog.StreamEvents, "gamma")
		if err != nil {
			t.Fatal(err)
		}
		wide := c.CachedInfo().Config
		wide.FilterSubjects, wide.FilterSubject = filters, ""
		if _, err := r.store.JS.UpdateConsumer(t.Context(), eventlog.StreamEvents, wide); err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.open()
		await(t, func() error { // the bridge looks at it before it lets anybody in, also from the list of its last run
			nc, err := nats.Connect(r.b.URL(), nats.UserInfo("subscriber.gamma", pass), nats.NoReconnect())
			if err == nil {
				nc.Close()
				return fmt.Errorf("gets in with the filter %s", filters)
			}
			return nil
		})
		st, err := Status(t.Context(), r.store)
		if err != nil || len(st) != 1 || st[0].Health != bridge.Refused || st[0].Error == "" {
			t.Errorf("status %+v %v", st, err)
		}
	}
	for filter, ok := range map[string]bool{
		"stix.v1.feed.green.*.tool.*": true, "stix.v1.*.clear.retract.*.3": true, "stix.v1.*.green.*.*.*": true, "stix.v1.*.amber.*.*.*": false, "stix.v1.*.green.*.*": false,
		"stix.v1.*.green.>": false, "": false, "stix.v2.*.green.*.*.*": false,
	} {
		if got := within(Subscriber{MaxTLP: stix.Green}, jetstream.ConsumerConfig{FilterSubject: filter}); got != ok {
			t.Errorf("filter %q is within green: %v", filter, got)
		}
	}
}

func TestAPositionBeginsWhereTheOperatorSaysAndStatusShowsIt(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.event("feed", stix.Green, bridge.Create, "tool", "old")
	await(t, func() error { time.Sleep(time.Millisecond); return nil })
	middle := time.Now()
	r.event("feed", stix.Green, bridge.Create, "tool", "recent")
	r.event("feed", stix.Red, bridge.Create, "tool", "red")
	pass := map[string]string{}
	for name, start := range map[string]string{"everything": "all", "from-now": "new", "since": middle.UTC().Format(time.RFC3339Nano)} {
		at, err := ParseStart(start)
		if err != nil {
			t.Fatal(err)
		}
		if pass[name], err = Add(ctx, r.store, Subscriber{Name: name, MaxTLP: stix.Green, Limits: DefaultLimits}, at); err != nil {
			t.Fatal(err)
		}
	}
	r.event("feed", stix.Green, bridge.Create, "tool", "now")
	last := r.event("feed", stix.Red, bridge.Create, "tool", "red")
	await(t, func() error { // the server counts what is pending a moment after it has stored
		all, err := States(ctx, r.store)
		if err != nil {
			return err
		}
		lag := map[string]uint64{}
		for _, s := range all {
			lag[s.Name] = s.Lag
			if s.Lag > 0 && s.OldestAge <= 0 || s.Hash != "" {
				return fmt.Errorf("%+v", s)
			}
		}
		if d := cmp.Diff(map[string]uint64{"everything": 3, "from-now": 1, "since": 2}, lag); d != "" {
			return fmt.Errorf("lag (-want +got):\n%s", d)
		}
		return nil
	})
	want := map[string]string{"everything": "old recent now", "from-now": "now", "since": "recent now"}
	for name, texted := range want {
		await(t, func() error {
			nc, err := nats.Connect(r.b.URL(), nats.UserInfo("subscriber."+name, pass[name]))
			nc.Close()
			return err
		})
		if got := texts(r.drain(r.durable(r.login(name, pass[name]), name))); got != texted {
			t.Errorf("%s received %q, want %q", name, got, texted)
		}
	}
	st, err := Status(ctx, r.store)
	if err != nil || len(st) != 3 {
		t.Fatal(st, err)
	}
	for _, s := range st {
		if s.Kind != "subscriber" || s.Position != last || s.Lag != 0 || s.MaxTLP != "green" || s.Error != "" || s.Extra["last_active"].(time.Time).IsZero() {
			t.Errorf("%+v", s)
		}
	}
	if _, err := ParseStart("yesterday"); err == nil {
		t.Error("yesterday is taken for a time")
	}
}

func TestWhatIsNoSubscriberIsRefusedBeforeAnythingIsMade(t *testing.T) {
	r := newRig(t)
	good := Subscriber{Name: "gamma", MaxTLP: stix.Green, Limits: DefaultLimits}
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprint("p", i)
	}
	for what, f := range map[string]func(*Subscriber){
		"name of nothing":  func(s *Subscriber) { s.Name = "" },
		"name of tokens":   func(s *Subscriber) { s.Name = "a.b" },
		"name of wildcard": func(s *Subscriber) { s.Name = "*" },
		"large letters":    func(s *Subscriber) { s.Name = "Gamma" },
		"path":             func(s *Subscriber) { s.Name = "../gamma" },
		"no ceiling":       func(s *Subscriber) { s.MaxTLP = stix.Unmarked },
		"producer":         func(s *Subscriber) { s.Producers = []string{"*"} },
		"producers":        func(s *Subscriber) { s.Producers = []string{"a.red"} },
		"type":             func(s *Subscriber) { s.Types = []string{">"} },
		"limits":           func(s *Subscriber) { s.Limits.Connections = 0 },
		"too many filters": func(s *Subscriber) { s.Producers, s.MaxTLP = many, stix.Red },
	} {
		s := good
		f(&s)
		if _, err := Add(t.Context(), r.store, s, Start{}); err == nil {
			t.Errorf("%s: added", what)
		}
	}
	if _, err := r.store.JS.CreateConsumer(t.Context(), eventlog.StreamEvents, jetstream.ConsumerConfig{Durable: "theirs", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	theirs := good
	theirs.Name = "theirs"
	if _, err := Add(t.Context(), r.store, theirs, Start{}); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("takes over a consumer of somebody else: %v", err)
	}
	if all, err := List(t.Context(), r.store.State); err != nil || len(all) != 0 {
		t.Errorf("left behind: %v %v", all, err)
	}
	r.add(good)
	if _, err := Add(t.Context(), r.store, good, Start{}); !errors.Is(err, ErrExists) {
		t.Errorf("added twice: %v", err)
	}
}
