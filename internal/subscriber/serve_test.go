package subscriber

import (
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

func TestASubscriberReceivesWhatIsWithinItsCeilingByAStockClient(t *testing.T) {
	r := newRig(t)
	for _, level := range []stix.TLP{stix.Clear, stix.Green, stix.Amber, stix.AmberStrict, stix.Red, stix.Unmarked} {
		r.event("feed", level, bridge.Create, "malware", level.String())
	}
	r.event("feed", stix.Green, bridge.Retract, "tool", "taken-back")
	pass := r.add(Subscriber{Name: "gamma", MaxTLP: stix.Green})
	c := r.durable(r.login("gamma", pass), "gamma")
	all := r.drain(c)
	if texts(all) != "clear green taken-back" {
		t.Errorf("received %v", all)
	}
	if all[0].Subject[:26] != "stix.v1.feed.clear.create." {
		t.Errorf("subject %s", all[0].Subject)
	}
}
