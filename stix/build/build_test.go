package build

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/observable"
	"github.com/stixbridge/stixbridge/stix/pattern"
	"github.com/stixbridge/stixbridge/stix/validate"
)

var day = time.Date(2026, 1, 2, 3, 4, 5, 678912000, time.FixedZone("", 3600))

func must(t *testing.T, o stix.Object, err error) stix.Object {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func object(t *testing.T, b *Builder) stix.Object {
	t.Helper()
	o, err := b.Object()
	return must(t, o, err)
}

func value(t *testing.T, s string) observable.Value {
	t.Helper()
	v, err := observable.Detect(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// samples are one of everything.
func samples(t *testing.T) []stix.Object {
	t.Helper()
	var list []stix.Object
	keep := func(o stix.Object) stix.Object { list = append(list, o); return o }
	author := keep(object(t, Identity("Acme", "organization").Created(day)))
	tlp, err := TLP(stix.Amber)
	keep(must(t, tlp, err))
	malware := keep(object(t, Malware("Dropper", true).Created(day).Author(author).Markings(tlp).Labels("a", "b", "a").Aliases("x").
		Description("d").Confidence(80).References(External{Source: "acme", URL: "https://acme.example/1"}, External{Source: "nothing"}).
		Phases(Phase{"mitre-attack", "execution"})))
	for _, s := range []string{"198[.]51.100.7", "2001:db8::/32", "evil.example.com", "hxxp://it's.example/a", strings.Repeat("ab", 32), "d41d8cd98f00b204e9800998ecf8427e",
		"AS64500", `HKLM\Software\Evil`, "a@evil.example", "00:1a:2b:3c:4d:5e"} {
		v, err := observable.Detect(s)
		if err != nil {
			if v, err = observable.As("url", "http://its.example/it's"); err != nil {
				t.Fatal(err)
			}
		}
		o := keep(object(t, Observable(v).Score(70).Labels("c").Author(author).Markings(tlp).Description("d").References(External{Source: "acme", ID: "1"})))
		i := keep(object(t, Indicator(v, day).Score(70).ValidUntil(day.AddDate(0, 1, 0)).Detection(true).Author(author).Markings(tlp)))
		keep(object(t, BasedOn(i, o).Created(day).Author(author)))
		keep(object(t, Relationship("indicates", i, malware).Created(day).Between(day, day.Add(time.Hour))))
	}
	keep(object(t, File("evil.exe", map[string]string{"MD5": "d41d8cd98f00b204e9800998ecf8427e", "SHA-1": "da39a3ee5e6b4b0d3255bfef95601890afd80709"})))
	keep(object(t, Software("AnyDesk", "AnyDesk GmbH", "1.0", "")))
	keep(object(t, UserAccount("root", "0")))
	for typ, value := range map[string]string{"text": "note", "user-agent": "Mozilla/5.0", "cryptocurrency-wallet": "bc1q0", "hostname": "srv-01", "phone-number": "+1 555 0100"} {
		keep(object(t, Observable(observable.Value{Type: typ, Value: value}).Score(1)))
	}
	address := keep(object(t, Observable(value(t, "198.51.100.9")).OpenCTI("score", 65).OpenCTI("labels", []string{"x"})))
	keep(object(t, Custom("mutex", false).Set("name", "Global\\x")))
	keep(object(t, Custom("directory", false).Set("path", `C:\Windows`)))
	keep(object(t, Custom("email-message", false).Set("is_multipart", false).Set("subject", "Invoice")))
	keep(object(t, Custom("network-traffic", false).Set("protocols", []string{"tcp"}).Set("dst_ref", address.ID()).Set("dst_port", 443)))
	keep(object(t, Custom("x509-certificate", false).Set("serial_number", "36:f7:d4")))
	keep(object(t, Tool("Extended").Created(day).OpenCTI("aliases", []string{"y"}).Extension(stix.MITREExtension, map[string]any{"x_mitre_version": "1.0"})))
	keep(object(t, IndicatorPattern("rule", "sigma", "title: x", day)))
	country := keep(object(t, Country("France", "fr").Created(day)))
	keep(object(t, City("Paris", "FR").Created(day)))
	keep(object(t, Region("Western Europe", "western-europe").Created(day)))
	keep(object(t, AdministrativeArea("Bretagne", "FR").Created(day)))
	keep(object(t, Position("HQ", 48.5, -2).Created(day)))
	keep(object(t, Sighting(malware, day, day.Add(time.Hour), 3, author, country).Created(day)))
	keep(object(t, Report("About it", day, malware, author).Set("report_types", []string{"malware"})))
	keep(object(t, Note("Mind the gap", malware).Created(day)))
	keep(object(t, ThreatActor("APT 0", false).Created(day)))
	keep(object(t, ThreatActor("Eve", true).Created(day)))
	keep(object(t, IntrusionSet("Set").Created(day)))
	keep(object(t, Campaign("Campaign").Created(day)))
	keep(object(t, Tool("Tool").Created(day)))
	keep(object(t, Infrastructure("C2").Created(day)))
	keep(object(t, AttackPattern("PowerShell", "T1059.001").Created(day)))
	keep(object(t, Vulnerability("CVE-2024-12345").Created(day).CVSS("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, "Critical").
		CVSS("AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5, "").CVSS("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3, "critical")))
	strict, err := TLP(stix.AmberStrict)
	keep(must(t, strict, err))
	for _, level := range []stix.TLP{stix.Clear, stix.Green, stix.Red} {
		o, err := TLP(level)
		keep(must(t, o, err))
	}
	for _, level := range []stix.TLP{stix.Clear, stix.Green, stix.Amber, stix.AmberStrict, stix.Red} {
		o, err := TLP2(level)
		keep(must(t, o, err))
		var m stix.Markings
		m.Learn(o)
		if got, ok, _ := m.Known(o.ID()); !ok || got != level {
			t.Errorf("%s is read as %s", level, got)
		}
	}
	pap, err := PAP("amber")
	keep(must(t, pap, err))
	terms, err := Statement("© Acme \"2026\"")
	keep(must(t, terms, err))
	return list
}

func TestEverythingIsValidAndHasItsDeterministicID(t *testing.T) {
	for _, o := range samples(t) {
		if errs := validate.Object(o); errs != nil {
			t.Errorf("%s: %v", o.Raw(), errs)
		}
		if o.Type() == "marking-definition" {
			continue
		}
		if id, err := o.DeterministicID(); err != nil || id != o.ID() {
			t.Errorf("%s: has %s, must have %s, %v", o.Type(), o.ID(), id, err)
		}
		if o.Created() != "" && o.Created() != "2026-01-02T02:04:05.678Z" {
			t.Errorf("%s: created %s", o.ID(), o.Created())
		}
	}
}

// TestShape spells out what the platform's client reads.
func TestShape(t *testing.T) {
	author := object(t, Identity("Acme", "organization").Created(day))
	tlp, err := TLP(stix.Green)
	must(t, tlp, err)
	v := value(t, "198[.]51.100.7")
	common := func(b *Builder) *Builder {
		return b.Score(70).Labels("c").Author(author).Markings(tlp).Description("d").References(External{Source: "acme", ID: "1"})
	}
	for _, c := range []struct {
		b    *Builder
		want string
	}{
		{common(Observable(v)), `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--12592121-be4c-5a93-a813-5a5af16e50db","value":"198.51.100.7","x_opencti_score":70,"x_opencti_labels":["c"],` +
			`"x_opencti_created_by_ref":"identity--882d3335-e134-5049-af19-3299dd029463","object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"],` +
			`"x_opencti_description":"d","x_opencti_external_references":[{"source_name":"acme","external_id":"1"}]}`},
		{common(Indicator(v, day).ValidUntil(day.AddDate(0, 1, 0)).Detection(true)), `{"type":"indicator","spec_version":"2.1","id":"indicator--3ae0b0a2-7289-5fda-8a85-02d057ba0968",` +
			`"created":"2026-01-02T02:04:05.678Z","modified":"2026-01-02T02:04:05.678Z","name":"198.51.100.7","pattern":"[ipv4-addr:value = '198.51.100.7']","pattern_type":"stix",` +
			`"valid_from":"2026-01-02T02:04:05.678Z","x_opencti_main_observable_type":"IPv4-Addr","valid_until":"2026-02-02T02:04:05.678Z","x_opencti_detection":true,"x_opencti_score":70,"labels":["c"],` +
			`"created_by_ref":"identity--882d3335-e134-5049-af19-3299dd029463","object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"],` +
			`"description":"d","external_references":[{"source_name":"acme","external_id":"1"}]}`},
		{Observable(v).OpenCTI("score", 65), `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--12592121-be4c-5a93-a813-5a5af16e50db","value":"198.51.100.7",` +
			`"extensions":{"extension-definition--f93e2c80-4231-4f9a-af8b-95c9bd566a82":{"extension_type":"property-extension","score":65}}}`},
		{Tool("x").Created(day).OpenCTI("a", 1).OpenCTI("b", 2), `{"type":"tool","spec_version":"2.1","id":"tool--` + strings.TrimPrefix(object(t, Tool("x").Created(day)).ID(), "tool--") + `","created":"2026-01-02T02:04:05.678Z","modified":"2026-01-02T02:04:05.678Z","name":"x",` +
			`"extensions":{"extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba":{"a":1,"b":2,"extension_type":"property-extension"}}}`},
	} {
		if diff := cmp.Diff(c.want, string(object(t, c.b).Raw())); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPatternsMeanTheirValue(t *testing.T) {
	for _, s := range []string{"198.51.100.7", "198.51.100.0/24", "evil.example.com", "http://evil.example/it's", strings.Repeat("ab", 64), "d41d8cd98f00b204e9800998ecf8427e", "AS64500", `HKLM\Software\it's`} {
		v := value(t, s)
		list, err := pattern.Extract(Pattern(v))
		if err != nil || len(list) != 1 || list[0].Type != v.Type || list[0].CIDR != v.Network {
			t.Errorf("%s: %s gives %v, %v", s, Pattern(v), list, err)
		}
	}
}

func TestMistakesAreErrors(t *testing.T) {
	a := stix.Stub("malware", "malware--1")
	for name, b := range map[string]*Builder{
		"no name": Malware("", true).Created(day), "no end": Relationship("uses", a, stix.Object{}).Created(day), "bad pattern": IndicatorPattern("x", "stix", "[a", day),
		"no valid_from": IndicatorPattern("x", "stix", "[a:b = 1]", time.Time{}), "valid_until first": Indicator(value(t, "10.0.0.1"), day).ValidUntil(day),
		"score": Indicator(value(t, "10.0.0.1"), day).Score(101), "about nothing": Report("x", day), "bad vector": Vulnerability("CVE-2024-1234").Created(day).CVSS("x", 1, ""),
		"no rule for an id": Custom("x-thing", true).Created(day), "bad type": Custom("X", true).Created(day), "AS": AutonomousSystem("x", ""), "modified first": Tool("x").Created(day).Modified(day.Add(-time.Hour)),
		"id set": Tool("x").Created(day).Set("id", "tool--1"), "type set": Tool("x").Created(day).Set("type", "malware"),
		"about a zero object": Report("x", day, a, stix.Object{}), "seen at a zero object": Sighting(a, day, day, 1, stix.Object{}).Created(day), "seen nowhere": Sighting(a, day, day, 1).Created(day),
		"a period of no millisecond": Relationship("uses", a, a).Created(day).Between(day, day.Add(time.Nanosecond)),
		"an extension of a file":     File("x", nil).OpenCTI("score", 1), "no extension": Tool("x").Created(day).Extension("x-ext", map[string]any{"a": 1}),
		"an indicator for a CVE": Indicator(value(t, "CVE-2024-1234"), day), "an observable for a CVE": Observable(value(t, "CVE-2024-1234")),
		"no reference": Tool("x").Created(day).References(External{URL: "https://x.example/"}), "no phase": Tool("x").Created(day).Phases(Phase{"a", ""}), "confidence": Tool("x").Created(day).Confidence(-1),
		"no such place": Position("x", 91, 0).Created(day), "no country": City("x", "").Created(day), "count": Sighting(a, day, day, -1, a).Created(day), "no account": UserAccount("", ""), "no hash": File("", nil),
		"unusable value": Tool("x").Created(day).Set("x_f", func() {}),
	} {
		if o, err := b.Object(); err == nil {
			t.Errorf("%s: got %s", name, o.Raw())
		}
	}
	if _, err := Tool("x").Object(); !errors.Is(err, ErrNoDate) {
		t.Errorf("got %v", err)
	}
}
