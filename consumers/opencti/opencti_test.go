package opencti

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/stix"
)

const amber = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"

func TestWhatObjectsReferToGoesFirstAndAlong(t *testing.T) {
	for _, protocol := range []string{"amqp", "api"} {
		t.Run(protocol, func(t *testing.T) {
			var g *rig
			if protocol == "amqp" {
				g = amqpRig(t)
				g.work()
			} else {
				g = apiRig(t)
			}
			author, statement := identity(t, 1), obj(t, `{"type":"marking-definition","spec_version":"2.1","id":%q,"definition_type":"statement","definition":{"statement":"c"},"name":"c"}`, nid("marking-definition", 9))
			family := malware(t, 2)
			hit := indicator(t, 3, fmt.Sprintf(`,"created_by_ref":%q,"object_marking_refs":[%q,%q]`, author.ID(), amber, statement.ID()))
			rel := relationship(t, 4, hit, family, fmt.Sprintf(`,"created_by_ref":%q`, author.ID()))
			g.asserts("feed", author, statement, family, hit, rel)
			g.deliver(g.event(bridge.Create, rel))
			g.p.Await("all is imported", func() bool { return len(g.p.Imports()) >= 5 })
			got := imported(g.p)
			slices.Sort(got[:4])
			want := []string{"upsert " + author.ID(), "upsert " + hit.ID(), "upsert " + family.ID(), "upsert " + statement.ID()}
			slices.Sort(want)
			if d := cmp.Diff(append(want, "upsert "+rel.ID()), got); d != "" {
				t.Error(d)
			}
			if m := g.p.Object(hit.ID())["object_marking_refs"]; cmp.Diff([]any{amber, statement.ID()}, m) != "" {
				t.Errorf("markings at the platform: %v", m)
			}
			g.deliver(g.event(bridge.Update, relationship(t, 4, hit, family, fmt.Sprintf(`,"created_by_ref":%q,"description":"x"`, author.ID()))))
			g.p.Await("the update is imported", func() bool { return len(g.p.Imports()) >= 6 })
			if got := imported(g.p); len(got) != 6 {
				t.Errorf("what was sent went along again: %q", got[6:])
			}
			if r := g.s.Report(); r["sent"] != uint64(6) {
				t.Errorf("report %v", r)
			}
		})
	}
}

func TestTLP2MarkingsGoUnderTheIDsThatPlatformsHave(t *testing.T) {
	g := apiRig(t)
	g.deliver(g.creates(indicator(t, 1, `,"object_marking_refs":["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421","`+amber+`"]`))...)
	i := g.p.Imports()[0]
	if d := cmp.Diff([]any{amber}, i.Object["object_marking_refs"]); d != "" || i.Error != "" {
		t.Error(d, i.Error)
	}
}

func TestUnsupportedObjectsAreCountedAndNamed(t *testing.T) {
	g := amqpRig(t)
	g.work()
	tactic := obj(t, `{"type":"x-mitre-tactic","id":%q,"name":"t"}`, nid("x-mitre-tactic", 1))
	m := malware(t, 2)
	g.deliver(g.creates(tactic, m, relationship(t, 3, m, tactic, ""))...)
	g.p.Await("the malware is imported", func() bool { return len(g.p.Imports()) == 1 })
	if d := cmp.Diff(map[string]uint64{"x-mitre-tactic": 1, "relationship": 1}, g.s.Report()["unsupported"]); d != "" {
		t.Error(d)
	}
}

func TestDeletes(t *testing.T) {
	ip := func(t *testing.T) stix.Object {
		return obj(t, `{"type":"ipv4-addr","id":%q,"value":"192.0.2.1"}`, nid("ipv4-addr", 5))
	}
	tests := []struct {
		name     string
		onDelete string
		op       bridge.Op
		object   func(*testing.T) stix.Object
		reason   string
		want     string // operation at the platform; empty: none
	}{
		{"a deleted indicator is revoked", "", bridge.Delete, func(t *testing.T) stix.Object { return indicator(t, 1, "") }, "", "upsert revoked"},
		{"an expired indicator is revoked", "auto", bridge.Expire, func(t *testing.T) stix.Object { return indicator(t, 1, "") }, "", "upsert revoked"},
		{"a retracted indicator is revoked", "auto", bridge.Retract, func(t *testing.T) stix.Object { return indicator(t, 1, "") }, "gate", "upsert revoked"},
		{"deleted malware is left alone", "auto", bridge.Delete, func(t *testing.T) stix.Object { return malware(t, 1) }, "", ""},
		{"a stub of an indicator cannot be revoked", "auto", bridge.Delete, func(t *testing.T) stix.Object { return stix.Stub("indicator", nid("indicator", 1)) }, "", ""},
		{"ignore", "ignore", bridge.Delete, func(t *testing.T) stix.Object { return indicator(t, 1, "") }, "", ""},
		{"revoke takes any object with a version", "revoke", bridge.Delete, func(t *testing.T) stix.Object { return malware(t, 1) }, "", "upsert revoked"},
		{"revoke leaves observables alone", "revoke", bridge.Delete, ip, "", ""},
		{"delete deletes", "delete", bridge.Delete, ip, "", "delete"},
		{"delete does not delete what was renamed", "delete", bridge.Retract, ip, "renamed", ""},
		{"delete does not delete what was merged", "delete", bridge.Delete, ip, "merged", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := apiRig(t, func(c *Config) { c.OnDelete = tt.onDelete })
			e := g.event(tt.op, tt.object(t))
			e.Context.Reason = tt.reason
			g.deliver(e)
			got := ""
			for _, i := range g.p.Imports() {
				got = i.Operation
				if i.Object["revoked"] == true {
					got += " revoked"
				}
			}
			if got != tt.want {
				t.Errorf("the platform did %q, want %q", got, tt.want)
			}
			if held := g.s.Report()[heldDelete]; (held != nil) != (tt.want == "") {
				t.Errorf("counted as held: %v", held)
			}
		})
	}
}

func TestMergesAreOrderedAtThePlatform(t *testing.T) {
	g := amqpRig(t)
	g.work()
	g.deliver(g.creates(malware(t, 1), malware(t, 2))...)
	g.deliver(g.event(bridge.Create, indicator(t, 3, "")))
	e := g.event(bridge.Merge, malware(t, 1))
	e.Context.Sources = []string{nid("malware", 2)}
	g.deliver(e)
	g.p.Await("the merge is done", func() bool { return g.p.Object(nid("malware", 2))["id"] == nid("malware", 1) })
	if ids := g.p.IDs(); len(ids) != 2 {
		t.Errorf("left: %q", ids)
	}
}

func TestNobodyButUsGivesOrders(t *testing.T) {
	g := apiRig(t)
	g.deliver(g.creates(malware(t, 1))...)
	evil := obj(t, `{"type":"malware","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-21T10:00:00.000Z","name":"m1","opencti_operation":"delete",
		"extensions":{%q:{"extension_type":"property-extension","opencti_operation":"delete","score":7}}}`, nid("malware", 1), stix.OpenCTIExtension)
	g.deliver(g.event(bridge.Update, evil))
	if got := imported(g.p); got[1] != "upsert "+evil.ID() || g.p.Object(evil.ID()) == nil {
		t.Errorf("a feed gave an order: %q", got)
	}
}

func TestWhatBelongsToAnotherPlatformStaysThere(t *testing.T) {
	g := apiRig(t)
	o := obj(t, `{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"i","pattern":"p","pattern_type":"stix","labels":["apt"],"object_marking_refs":[%q],"x_opencti_id":"u",
		"extensions":{%q:{"extension_type":"property-extension","id":"u","type":"Indicator","created_at":"t","updated_at":"t","is_inferred":false,"creator_ids":["u"],"stix_ids":["indicator--x"],"labels_ids":["l"],
		"workflow_id":"w","assignee_ids":["a"],"participant_ids":["p"],"files":[{"name":"f"}],"score":80,"detection":true},"extension-definition--00000000-0000-4000-8000-000000000000":{"a":1}}}`, nid("indicator", 1), amber, stix.OpenCTIExtension)
	e := g.event(bridge.Create, o)
	e.Context.Origin = &bridge.Origin{Platform: "another"}
	g.deliver(e)
	got := g.p.Imports()[0].Object
	want := map[string]any{stix.OpenCTIExtension: map[string]any{"extension_type": "property-extension", "type": "Indicator", "is_inferred": false, "stix_ids": []any{"indicator--x"}, "score": 80.0, "detection": true},
		"extension-definition--00000000-0000-4000-8000-000000000000": map[string]any{"a": 1.0}}
	if d := cmp.Diff(want, got["extensions"]); d != "" || got["x_opencti_id"] != nil {
		t.Error(d, got["x_opencti_id"])
	}
	if d := cmp.Diff([]any{amber}, got["object_marking_refs"]); d != "" {
		t.Error(d)
	}
}

func TestEventsOfThePlatformItselfAreHeldBack(t *testing.T) {
	g := apiRig(t)
	own := g.event(bridge.Update, indicator(t, 1, ""))
	own.Producer, own.Context.Origin = "octi", &bridge.Origin{Platform: g.s.platform}
	g.deliver(own)
	// What this platform last said, in its own form: what another says of the same object, with the same content, changes nothing.
	said := indicator(t, 2, fmt.Sprintf(`,"confidence":100,"lang":"en","labels":["b","a"],"extensions":{%q:{"id":"u","updated_at":"t","score":50}}`, stix.OpenCTIExtension))
	g.asserts("octi", said)
	g.deliver(g.event(bridge.Update, indicator(t, 2, fmt.Sprintf(`,"labels":["a","b"],"extensions":{%q:{"id":"other","updated_at":"later","score":50}}`, stix.OpenCTIExtension))))
	if n := len(g.p.Imports()); n != 0 {
		t.Errorf("%d imports: %q", n, imported(g.p))
	}
	g.deliver(g.event(bridge.Update, indicator(t, 2, fmt.Sprintf(`,"labels":["a","b"],"extensions":{%q:{"id":"other","score":51}}`, stix.OpenCTIExtension))))
	if n := len(g.p.Imports()); n != 1 {
		t.Errorf("another score was held back")
	}
	if r := g.s.Report(); r[heldEcho] != uint64(1) || r[heldSame] != uint64(1) {
		t.Errorf("report %v", r)
	}
}

func TestErrorsOfThePlatformsWorkerBecomeDeadLetters(t *testing.T) {
	for _, protocol := range []string{"amqp", "api"} {
		t.Run(protocol, func(t *testing.T) {
			var g *rig
			if protocol == "amqp" {
				g = amqpRig(t)
				g.work()
			} else {
				g = apiRig(t)
			}
			bad := malware(t, 2)
			g.p.Refuse(bad.ID(), "FUNCTIONAL_ERROR: no such thing")
			g.deliver(g.creates(malware(t, 1), bad, relationship(t, 3, malware(t, 1), bad, ""), malware(t, 4))...)
			g.p.Await("both errors are read", func() bool { return len(g.dead()) == 2 })
			want := []string{bad.ID() + " feed not imported by the platform: FUNCTIONAL_ERROR: no such thing",
				nid("relationship", 3) + " feed not imported by the platform: MISSING_REFERENCE_ERROR: element " + bad.ID() + " not found"}
			if d := cmp.Diff(want, g.dead()); d != "" {
				t.Error(d)
			}
			g.p.Await("the work is complete and forgotten", func() bool { return g.s.Report()["works_open"] == 0 })
			if r := g.s.Report(); r["rejected"] != uint64(2) || r["imported"] != 2 || r["expected"] != 4 {
				t.Errorf("report %v", r)
			}
			if len(g.dead()) != 2 {
				t.Errorf("dead letters %q", g.dead())
			}
		})
	}
}

func TestErrorsOfAnEarlierProcessesWorkAreReadToo(t *testing.T) {
	g := amqpRig(t)
	g.p.Refuse(nid("malware", 2), "FUNCTIONAL_ERROR: no")
	g.deliver(g.creates(malware(t, 1), malware(t, 2))...)
	if err := g.s.Close(); err != nil {
		t.Fatal(err)
	}
	g.work()
	g.p.Await("the worker is through", func() bool { return len(g.p.Imports()) == 2 })
	g.sink()
	g.p.Await("the error is read", func() bool { return len(g.dead()) == 1 })
	if got := g.dead()[0]; !strings.HasPrefix(got, nid("malware", 2)) {
		t.Error(got)
	}
}

func TestAFullQueueIsWaitedFor(t *testing.T) {
	g := amqpRig(t, func(c *Config) { c.QueueThreshold = 1e6 })
	g.p.SetQueue(10, 2e6)
	g.s.mu.Lock()
	g.s.queue.at = time.Time{}
	g.s.mu.Unlock()
	err := g.s.Deliver(t.Context(), g.creates(malware(t, 1)))
	if kind(err) != "retry after" || !strings.Contains(err.Error(), "2.0 MB") {
		t.Fatalf("%s: %v", kind(err), err)
	}
	g.p.Await("the ping tells of it", func() bool {
		i := g.p.Connector(g.id()).Info
		return i["buffering"] == true && i["queue_messages_size"] == 2.0
	})
	g.p.SetQueue(0, 0)
	g.deliver(g.creates(malware(t, 1))...)
	// Between two looks what was published counts as queued.
	g.s.pace.queue = time.Hour
	big := obj(t, `{"type":"note","id":%q,"content":%q,"object_refs":[%q]}`, nid("note", 1), strings.Repeat("x", 900_000), nid("malware", 1))
	g.deliver(g.creates(big)...)
	n := len(g.p.Calls("connector"))
	g.deliver(g.creates(malware(t, 2))...)
	if len(g.p.Calls("connector")) != n+1 {
		t.Error("the platform was not asked again after a threshold's worth was published")
	}
}

func TestErrorsHaveTheKindThatTheRuntimeNeeds(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*octitest.Platform)
		want  string
	}{
		{"401", func(p *octitest.Platform) { p.Fail("*", -1, "AUTH_REQUIRED", "You must be logged in to do this.") }, "paused"},
		{"403", func(p *octitest.Platform) {
			p.Fail("*", -1, "FORBIDDEN_ACCESS", "You are not allowed to do this.")
		}, "paused"},
		{"a proxy's 403", func(p *octitest.Platform) { p.FailHTTP("*", -1, 403) }, "paused"},
		{"503", func(p *octitest.Platform) { p.FailHTTP("*", -1, 503) }, "plain"},
		{"429", func(p *octitest.Platform) { p.FailHTTP("*", -1, 429, "Retry-After", "7") }, "retry after"},
		{"an error of the database", func(p *octitest.Platform) { p.Fail("*", -1, "DATABASE_ERROR", "down") }, "plain"},
		{"reset connections", func(p *octitest.Platform) { p.FailHTTP("*", -1, 0) }, "plain"},
	}
	for _, tt := range tests {
		for _, when := range []string{"before registration", "while running"} {
			t.Run(tt.name+" "+when, func(t *testing.T) {
				g := apiRig(t)
				if when == "before registration" {
					g.s.mu.Lock()
					g.s.session = nil
					g.s.mu.Unlock()
				}
				tt.spoil(g.p)
				if err := g.s.Deliver(t.Context(), g.creates(malware(t, 1))); kind(err) != tt.want || strings.Contains(fmt.Sprint(err), g.p.Token) {
					t.Errorf("%s: %v", kind(err), err)
				}
				if tt.want == "paused" && g.s.Probe(t.Context()) == nil {
					t.Error("a probe succeeds although the platform refuses us")
				}
				g.p.Heal()
				if err := g.s.Probe(t.Context()); err != nil {
					t.Errorf("probe after it: %v", err)
				}
				g.deliver(g.creates(malware(t, 1))...)
				if g.p.Object(nid("malware", 1)) == nil {
					t.Error("it did not arrive")
				}
			})
		}
	}
}

func TestALostBindingOrQueueLosesNothing(t *testing.T) {
	g := amqpRig(t)
	events := g.creates(malware(t, 1), malware(t, 2))
	if err := g.rabbit.API("DELETE", "/api/bindings/"+g.rabbit.VHost+"/e/amqp.worker.exchange/q/push_"+g.id()+"/push_routing_"+g.id(), nil, nil); err != nil {
		t.Fatal(err)
	}
	err := g.s.Deliver(t.Context(), events)
	if kind(err) != "batch: plain" && kind(err) != "plain" || !strings.Contains(err.Error(), "no queue is bound") {
		t.Fatalf("%s: %v", kind(err), err)
	}
	g.deliver(events...) // registers again, which binds the queue
	if n := len(g.queued()); n != 2 {
		t.Errorf("%d messages", n)
	}
	if err := g.rabbit.API("DELETE", "/api/exchanges/"+g.rabbit.VHost+"/amqp.worker.exchange", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := g.s.Deliver(t.Context(), events); err == nil {
		t.Fatal("delivered to an exchange that is gone")
	}
	g.deliver(events...)
	if n := len(g.queued()); n != 2 {
		t.Errorf("%d messages", n)
	}
	if err := g.s.Close(); err != nil {
		t.Fatal(err)
	}
	expected := 0
	for _, w := range g.p.Works() {
		expected += w.Expected
	}
	if expected != 4 {
		t.Errorf("the works expect %d objects, 4 were published: %+v", expected, g.p.Works())
	}
}

func TestABlockedBrokerIsWaitedFor(t *testing.T) {
	g := amqpRig(t)
	g.deliver(g.creates(malware(t, 1))...)
	unblock := g.rabbit.Block(t)
	events := g.creates(malware(t, 2))
	err := g.s.Deliver(t.Context(), events)
	if kind(err) != "retry after" {
		t.Fatalf("%s: %v", kind(err), err)
	}
	if g.s.Report()["blocked"] == nil {
		t.Error("the report does not say so")
	}
	unblock()
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); {
		err = g.s.Deliver(t.Context(), events)
	}
	if n := len(g.queued()); err != nil || n != 2 {
		t.Errorf("%d messages, %v", n, err)
	}
}

func TestTheConnectorLivesAndStaysRegistered(t *testing.T) {
	g := amqpRig(t)
	g.p.Await("it pings", func() bool { return g.p.Connector(g.id()).Pings >= 2 })
	if in := g.p.Connector(g.id()).Input; in["name"] != "stixbridge to-opencti" || in["type"] != "EXTERNAL_IMPORT" {
		t.Errorf("registered as %v", in)
	}
	g.deliver(g.creates(malware(t, 1))...)
	g.p.Await("the state is at the platform", func() bool { return strings.Contains(*g.p.Connector(g.id()).State, `"position":1`) })

	g.p.ResetState(g.id())
	g.p.Await("the reset is kept", func() bool { c := g.p.Connector(g.id()); return *c.State == "null" })
	if g.s.memory.has(nid("malware", 1)) {
		t.Error("after a reset, what was sent is still taken as known")
	}

	g.p.Forget(g.id())
	g.p.Await("the loss is noticed", func() bool { g.s.mu.Lock(); defer g.s.mu.Unlock(); return g.s.session == nil })
	g.deliver(g.creates(malware(t, 2))...)
	if g.p.Connector(g.id()) == nil {
		t.Error("not registered again")
	}
	if err := g.s.Close(); err != nil {
		t.Fatal(err)
	}
	if g.p.Connector(g.id()) == nil || len(g.p.Calls("deleteConnector")) > 0 {
		t.Error("a stop must not unregister")
	}
	if w := g.p.Works()[0]; !w.Processed {
		t.Errorf("the work is left open: %+v", w)
	}
	if n := len(g.queued()); n != 2 {
		t.Errorf("%d messages in the queue", n)
	}
}

func TestACancelledDeliveryReturnsAtOnce(t *testing.T) {
	g := amqpRig(t)
	g.deliver(g.creates(malware(t, 1))...)
	g.rabbit.Block(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := g.s.Deliver(ctx, g.creates(malware(t, 2))); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

func TestWrongSectionsNameTheirKey(t *testing.T) {
	good := Config{URL: "https://x", Token: "t", QueueThreshold: 1}
	tests := []struct {
		key    string
		change func(*Config)
	}{
		{"url", func(c *Config) { c.URL = "" }},
		{"url", func(c *Config) { c.URL = "x" }},
		{"token", func(c *Config) { c.Token = "" }},
		{"connector_id", func(c *Config) { c.ConnectorID = "1" }},
		{"queue_protocol", func(c *Config) { c.QueueProtocol = "kafka" }},
		{"queue_threshold", func(c *Config) { c.QueueThreshold = 0 }},
		{"on_delete", func(c *Config) { c.OnDelete = "burn" }},
		{"tls", func(c *Config) { c.TLS.CA = "/nowhere" }},
		{"mq_tls", func(c *Config) { c.MQTLS.CA = "/nowhere" }},
	}
	if _, err := newSink(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		_, err := newSink(c)
		var got string
		bridge.EachKey(err, func(key string, _ error) { got = key })
		if got != tt.key {
			t.Errorf("key %q, want %q: %v", got, tt.key, err)
		}
	}
}
