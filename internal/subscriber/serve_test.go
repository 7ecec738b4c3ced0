package subscriber

import (
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
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
