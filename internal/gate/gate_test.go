package gate

import (
	"errors"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

func object(t *testing.T, raw string) stix.Object {
	t.Helper()
	o, err := stix.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestObjectChecks(t *testing.T) {
	const (
		plain     = `{"type":"indicator","id":"indicator--1"}`
		statement = "marking-definition--00000000-0000-4000-8000-000000000001"
		pap       = "marking-definition--00000000-0000-4000-8000-000000000002"
		late      = "marking-definition--00000000-0000-4000-8000-000000000003"
		org       = "identity--00000000-0000-4000-8000-000000000004"
	)
	markings := &stix.Markings{}
	markings.Learn(object(t, `{"type":"marking-definition","id":"`+statement+`","definition_type":"statement","definition":{"statement":"(c)"}}`))
	markings.Learn(object(t, `{"type":"marking-definition","id":"`+late+`","definition_type":"tlp","name":"TLP:RED","definition":{"tlp":"red"}}`))
	marked := func(id string) string {
		return `{"type":"indicator","id":"indicator--1","object_marking_refs":["` + id + `"]}`
	}
	shared := `{"type":"indicator","id":"indicator--1","extensions":{"` + stix.OpenCTIExtension + `":{"granted_refs":["` + org + `"]}}}`
	ended := `{"type":"indicator","id":"indicator--1","valid_until":"2026-01-02T12:00:00Z"}`
	out := bridge.Traits{Leaves: true}
	for _, c := range []struct {
		name   string
		cfg    bridge.ConsumerConfig
		traits bridge.Traits
		view   View
		raw    string
		want   string // gate, empty: passes
	}{
		{name: "inside the house everything passes", raw: plain, view: View{TLP: stix.Red}},
		{name: "a producer that is not named", cfg: bridge.ConsumerConfig{Producers: []string{"q"}}, raw: plain, want: Producers},
		{name: "a producer that is named", cfg: bridge.ConsumerConfig{Producers: []string{"q", "p"}}, raw: plain},
		{name: "any producer", cfg: bridge.ConsumerConfig{Producers: []string{"*"}}, raw: plain},
		{name: "a type that is not named", cfg: bridge.ConsumerConfig{Types: []string{"malware"}}, raw: plain, want: Types},
		{name: "outside the house the ceiling is green", traits: out, raw: plain, view: View{TLP: stix.Amber}, want: MaxTLP},
		{name: "green may leave", traits: out, raw: plain, view: View{TLP: stix.Green}},
		{name: "unmarked counts as amber", traits: out, raw: plain, want: MaxTLP},
		{name: "unmarked counts as what was set", traits: out, cfg: bridge.ConsumerConfig{UnmarkedAs: "clear"}, raw: plain},
		{name: "amber+strict is above amber", cfg: bridge.ConsumerConfig{MaxTLP: "TLP:AMBER"}, raw: plain, view: View{TLP: stix.AmberStrict}, want: MaxTLP},
		{name: "amber+strict within its own ceiling", cfg: bridge.ConsumerConfig{MaxTLP: "amber+strict"}, raw: plain, view: View{TLP: stix.AmberStrict}},
		{name: "a TLP that was learned after publication counts", traits: out, raw: marked(late), view: View{TLP: stix.Green}, want: MaxTLP},
		{name: "a statement may leave", traits: out, raw: marked(statement), view: View{TLP: stix.Green}},
		{name: "an unknown marking may not leave", traits: out, raw: marked(pap), view: View{TLP: stix.Green}, want: Markings},
		{name: "an unknown marking stays in the house", raw: marked(pap), view: View{TLP: stix.Green}},
		{name: "an unknown marking that is allowed by id", traits: out, cfg: bridge.ConsumerConfig{AllowMarkings: []string{pap}}, raw: marked(pap), view: View{TLP: stix.Green}},
		{name: "an unknown marking that is allowed by name", traits: out, cfg: bridge.ConsumerConfig{AllowMarkings: []string{"pap:green"}}, raw: marked(pap), view: View{TLP: stix.Green}},
		{name: "any marking allowed", traits: out, cfg: bridge.ConsumerConfig{AllowMarkings: []string{"*"}}, raw: marked(pap), view: View{TLP: stix.Green}},
		{name: "any marking allowed is no way round the ceiling", traits: out, cfg: bridge.ConsumerConfig{AllowMarkings: []string{"*"}}, raw: marked(late), view: View{TLP: stix.Green}, want: MaxTLP},
		{name: "shared with an organization does not leave", traits: out, raw: shared, view: View{TLP: stix.Green}, want: Organizations},
		{name: "shared with an organization that the target serves", traits: out, cfg: bridge.ConsumerConfig{Organizations: []string{org}}, raw: shared, view: View{TLP: stix.Green}},
		{name: "shared with another organization, inside", cfg: bridge.ConsumerConfig{Organizations: []string{"identity--x"}}, raw: shared, want: Organizations},
		{name: "sharing does not matter inside by default", raw: shared},
		{name: "over when it came in", raw: ended, view: View{Time: noon}, want: Expired},
		{name: "over a moment later", raw: ended, view: View{Time: noon.Add(-time.Millisecond)}},
		{name: "over, and wanted", cfg: bridge.ConsumerConfig{Expired: true}, raw: ended, view: View{Time: noon}},
		{name: "over, but the target may hold it", raw: ended, view: View{Time: noon, Held: true}},
		{name: "where says no", cfg: bridge.ConsumerConfig{Where: "no"}, raw: plain, want: Where},
		{name: "where says yes", cfg: bridge.ConsumerConfig{Where: "yes"}, raw: plain},
		{name: "where fails", cfg: bridge.ConsumerConfig{Where: "error"}, raw: plain, want: Where},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.traits.Leaves && c.cfg.Producers == nil {
				c.cfg.Producers = []string{"*"}
			}
			opt := Options{Markings: markings, Name: func(id string) (string, bool) { return "PAP:GREEN", id == pap }}
			switch c.cfg.Where {
			case "no":
				opt.Where = func(View) (bool, bool, error) { return false, true, nil }
			case "yes":
				opt.Where = func(View) (bool, bool, error) { return true, false, nil }
			case "error":
				opt.Where = func(View) (bool, bool, error) { return true, false, errors.New("type mismatch") }
			}
			g, err := Compile(c.cfg, c.traits, opt)
			if err != nil {
				t.Fatal(err)
			}
			c.view.Producer, c.view.Object = "p", object(t, c.raw)
			v := g.Object(c.view)
			if v.Gate != c.want || v.Pass != (c.want == "") {
				t.Errorf("got %+v, want gate %q", v, c.want)
			}
			if !v.Pass && g.Remedy(v.Gate) == "" {
				t.Errorf("no remedy for %s", v.Gate)
			}
		})
	}
}

func TestEventChecks(t *testing.T) {
	no := false
	ext := func(score, updated string) string {
		return `{"type":"indicator","id":"indicator--1","modified":"` + updated + `","extensions":{"` + stix.OpenCTIExtension + `":{"score":` + score + `,"updated_at":"` + updated + `"}}}`
	}
	for _, c := range []struct {
		name   string
		cfg    bridge.ConsumerConfig
		op     bridge.Op
		ctx    bridge.Context
		before string
		now    string
		want   string
	}{
		{name: "no checks", op: bridge.Update, now: ext("1", "a")},
		{name: "an operation that is not wanted", cfg: bridge.ConsumerConfig{Ops: []bridge.Op{bridge.Create}}, op: bridge.Delete, now: ext("1", "a"), want: Ops},
		{name: "a retract is always wanted", cfg: bridge.ConsumerConfig{Ops: []bridge.Op{bridge.Create}, Backfill: &no}, op: bridge.Retract, ctx: bridge.Context{Backfill: true}, now: ext("1", "a")},
		{name: "backfill that is not wanted", cfg: bridge.ConsumerConfig{Backfill: &no}, op: bridge.Create, ctx: bridge.Context{Backfill: true}, now: ext("1", "a"), want: Backfill},
		{name: "backfill by default", op: bridge.Create, ctx: bridge.Context{Backfill: true}, now: ext("1", "a")},
		{name: "a member of an extension changed", cfg: bridge.ConsumerConfig{Changed: []string{"score"}}, op: bridge.Update, before: ext("1", "a"), now: ext("2", "b")},
		{name: "by its OpenCTI name", cfg: bridge.ConsumerConfig{Changed: []string{"x_opencti_score"}}, op: bridge.Update, before: ext("1", "a"), now: ext("2", "b")},
		{name: "equal but for how the number is written", cfg: bridge.ConsumerConfig{Changed: []string{"score"}}, op: bridge.Update, before: ext("1", "a"), now: ext("1.0", "b"), want: Changed},
		{name: "something else changed", cfg: bridge.ConsumerConfig{Changed: []string{"name"}}, op: bridge.Update, before: ext("1", "a"), now: ext("2", "b"), want: Changed},
		{name: "a property came", cfg: bridge.ConsumerConfig{Changed: []string{"name"}}, op: bridge.Update, before: ext("1", "a"), now: `{"type":"indicator","id":"indicator--1","name":"x"}`},
		{name: "anything: only volatile properties changed", cfg: bridge.ConsumerConfig{Changed: []string{"*"}}, op: bridge.Update, before: ext("1", "a"), now: ext("1", "b"), want: Changed},
		{name: "anything: the score changed", cfg: bridge.ConsumerConfig{Changed: []string{"*"}}, op: bridge.Update, before: ext("1", "a"), now: ext("2", "b")},
		{name: "the version before did not pass", cfg: bridge.ConsumerConfig{Changed: []string{"name"}}, op: bridge.Update, now: ext("2", "b")},
		{name: "a create is news", cfg: bridge.ConsumerConfig{Changed: []string{"name"}}, op: bridge.Create, before: ext("1", "a"), now: ext("2", "b")},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := Compile(c.cfg, bridge.Traits{}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.op == bridge.Update {
				c.ctx.Prev = 1
			}
			e := bridge.Event{Op: c.op, Context: c.ctx, Object: object(t, c.now)}
			v := g.Event(e, func() (stix.Object, bool) {
				if c.before == "" {
					return stix.Object{}, false
				}
				return object(t, c.before), true
			})
			if v.Gate != c.want || v.Pass != (c.want == "") {
				t.Errorf("got %+v, want gate %q", v, c.want)
			}
			if !v.Pass && g.Remedy(v.Gate) == "" {
				t.Errorf("no remedy for %s", v.Gate)
			}
		})
	}
}

func TestWrongConfigurationNamesTheKey(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    bridge.ConsumerConfig
		traits bridge.Traits
		want   string
	}{
		{"outside without producers", bridge.ConsumerConfig{}, bridge.Traits{Leaves: true}, `producers: a target outside the house must name what may go there: list producers, or "*" for all`},
		{"no TLP", bridge.ConsumerConfig{MaxTLP: "pink"}, bridge.Traits{}, `max_tlp: "pink" is no TLP: want clear, green, amber, amber+strict or red`},
		{"a volatile property", bridge.ConsumerConfig{Changed: []string{"modified"}}, bridge.Traits{}, `changed: modified changes with every version and never counts as a change: name what matters to the target`},
		{"an expression that was not compiled", bridge.ConsumerConfig{Where: "x"}, bridge.Traits{}, `where: the expression was not compiled`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Compile(c.cfg, c.traits, Options{}); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestExpressionsSeeObjectAndEvent(t *testing.T) {
	where, fickle, err := Expression(`confidence >= 70 and producer == "p" and tlp == "green"`, nil)
	if err != nil || fickle {
		t.Fatal(err, fickle)
	}
	g, err := Compile(bridge.ConsumerConfig{Where: "x"}, bridge.Traits{}, Options{Where: where})
	if err != nil {
		t.Fatal(err)
	}
	v := View{Producer: "p", TLP: stix.Green, Op: bridge.Create, Object: object(t, `{"type":"indicator","id":"indicator--1","confidence":80}`)}
	if got := g.Object(v); !got.Pass {
		t.Errorf("%+v", got)
	}
	v.Object = object(t, `{"type":"indicator","id":"indicator--1"}`)
	if got := g.Object(v); got.Pass || !got.Missing {
		t.Errorf("without confidence: %+v", got)
	}
	if _, fickle, _ := Expression(`author() == "x"`, nil); !fickle {
		t.Error("an author may become known later")
	}
	if _, _, err := Expression("confidence >=", nil); err == nil {
		t.Error("half an expression compiles")
	}
}
