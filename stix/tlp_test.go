package stix

import "testing"

func TestParseTLPReadsAnyUsualSpelling(t *testing.T) {
	for want, spellings := range map[TLP][]string{
		Clear:       {"clear", "TLP:WHITE", "white", "tlp:clear", " TLP: Clear ", "TLP-CLEAR", "tlp_white"},
		Green:       {"green", "TLP:GREEN"},
		Amber:       {"amber", "Tlp:Amber"},
		AmberStrict: {"amber+strict", "TLP:AMBER+STRICT", "AMBER_STRICT", "amber strict", "amber-strict"},
		Red:         {"RED", "tlp:red"},
		Unmarked:    {"unmarked"},
	} {
		for _, s := range spellings {
			if got, err := ParseTLP(s); err != nil || got != want {
				t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
			}
		}
		var back TLP
		if err := back.UnmarshalText([]byte(want.String())); err != nil || back != want {
			t.Errorf("%v does not read its own token: %v", want, err)
		}
	}
	for _, s := range []string{"", "tlp", "TLP:", "purple", "amber!", "red1", "TLP:EX:CHR", "clearclearclearclear", "ambér"} {
		if got, err := ParseTLP(s); err == nil {
			t.Errorf("%q was read as %v", s, got)
		}
	}
}

func TestRankOrdersTheLevels(t *testing.T) {
	for i, level := range []TLP{Clear, Green, Amber, AmberStrict, Red} {
		if level.Rank() != i {
			t.Errorf("%v has rank %d", level, level.Rank())
		}
		if got, ok := MarkingTLP(level.MarkingID()); !ok || got != level {
			t.Errorf("%v: its marking id is read as %v", level, got)
		}
	}
	if Unmarked.Rank() != Amber.Rank() || Unmarked.MarkingID() != "" || TLP(99).Rank() != Red.Rank() {
		t.Error("unmarked must count as amber and an unknown level as red")
	}
}

func TestMarkingsFindTheStrictestTLP(t *testing.T) {
	var m Markings
	learn := func(raw string) { m.Learn(mustParse(t, raw)) }
	learn(`{"type":"marking-definition","id":"marking-definition--green","definition_type":"TLP","definition":{"TLP":"TLP:GREEN"}}`)
	learn(`{"type":"marking-definition","id":"marking-definition--old","definition_type":"tlp","definition":{"tlp":"amber"}}`)
	learn(`{"type":"marking-definition","id":"marking-definition--two","name":"x","extensions":{"` + TLP2Extension + `":{"extension_type":"property-extension","tlp_2_0":"amber+strict"}}}`)
	learn(`{"type":"marking-definition","id":"marking-definition--octi","definition_type":"statement","definition":{"statement":"custom"},"x_opencti_definition_type":"TLP","x_opencti_definition":"TLP:RED"}`)
	learn(`{"type":"marking-definition","id":"marking-definition--name","name":"TLP:GREEN"}`)
	learn(`{"type":"marking-definition","id":"marking-definition--c","definition_type":"statement","definition":{"statement":"© us"}}`)
	learn(`{"type":"marking-definition","id":"marking-definition--pap","definition_type":"PAP","definition":{"PAP":"PAP:RED"}}`)
	learn(`{"type":"marking-definition","id":"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed","definition_type":"tlp","definition":{"tlp":"white"}}`)
	learn(`{"type":"marking-definition","id":"marking-definition--old","definition_type":"tlp","definition":{"tlp":"clear"}}`)
	learn(`{"type":"identity","id":"marking-definition--evil","definition_type":"tlp","definition":{"tlp":"clear"}}`)
	for _, c := range []struct {
		markings string
		want     TLP
	}{
		{``, Unmarked},
		{`"object_marking_refs":["marking-definition--unheard"]`, Unmarked},
		{`"object_marking_refs":["marking-definition--c","marking-definition--pap"]`, Unmarked},
		{`"object_marking_refs":["marking-definition--green"]`, Green},
		{`"object_marking_refs":["marking-definition--old","marking-definition--green"]`, Amber},
		{`"object_marking_refs":["marking-definition--two"]`, AmberStrict},
		{`"object_marking_refs":["marking-definition--octi"]`, Red},
		{`"object_marking_refs":["marking-definition--name"]`, Green},
		{`"object_marking_refs":["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"]`, Clear},
		{`"object_marking_refs":["marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"]`, AmberStrict},
		{`"object_marking_refs":["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"]`, Red},
		{`"object_marking_refs":["marking-definition--evil"]`, Unmarked},
		{`"object_marking_refs":["marking-definition--green"],"granular_markings":[{"marking_ref":"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1","selectors":["name"]}]`, Red},
		{`"object_marking_refs":[7,null],"granular_markings":[1,{"marking_ref":2}]`, Unmarked},
		{`"object_marking_refs":"marking-definition--green","granular_markings":{}`, Unmarked},
	} {
		raw := `{"type":"x","id":"x"`
		if c.markings != "" {
			raw += "," + c.markings
		}
		if got := m.TLP(mustParse(t, raw+"}")); got != c.want {
			t.Errorf("%s: got %v, want %v", c.markings, got, c.want)
		}
	}
	if _, tlp, statement := m.Known("marking-definition--c"); tlp || !statement {
		t.Error("a learned statement is not known as one")
	}
	if _, tlp, statement := m.Known("marking-definition--pap"); tlp || statement {
		t.Error("a PAP marking is neither TLP nor statement")
	}
}
