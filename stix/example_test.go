package stix_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

func ExampleParse() {
	o, err := stix.Parse([]byte(`{"type": "ipv4-addr", "id": "ipv4-addr--4a6c8a32-b4a0-5a47-b0e5-c0d1b6a7f3b4", "value": "198.51.100.7", "x_vendor": {"n": 1.50}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	n, _ := o.Get("x_vendor", "n")
	fmt.Println(o.Type(), o.Text("value"), string(n))

	o, err = o.Set("x_opencti_score", 80)
	fmt.Println(string(o.Raw()), err)
	// Output:
	// ipv4-addr 198.51.100.7 1.50
	// {"type":"ipv4-addr","id":"ipv4-addr--4a6c8a32-b4a0-5a47-b0e5-c0d1b6a7f3b4","value":"198.51.100.7","x_vendor":{"n":1.50},"x_opencti_score":80} <nil>
}

func ExampleReader() {
	bundle := `{"type":"bundle","id":"bundle--1","objects":[
		{"type":"malware","id":"malware--1"},
		{"type":"malware"},
		{"type":"tool","id":"tool--1"}]}`
	opened, err := stix.Open(strings.NewReader(bundle)) // also .gz and .zst
	if err != nil {
		fmt.Println(err)
		return
	}
	defer opened.Close()
	r := stix.NewReader(opened)
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println("the rest cannot be read:", err)
			return
		}
		if e.Err != nil {
			fmt.Printf("element %d at byte %d: %v\n", e.Index, e.Offset, e.Err)
			continue
		}
		fmt.Println(e.Object.ID())
	}
	// Output:
	// malware--1
	// element 1 at byte 88: no usable id: the member is missing
	// tool--1
}

func ExampleID() {
	id, err := stix.ID([]byte(`{"type": "domain-name", "value": "example.org"}`))
	fmt.Println(id, err)
	_, err = stix.ID([]byte(`{"type": "process", "pid": 4}`))
	fmt.Println(err)
	// Output:
	// domain-name--3500c14b-9bde-5393-b4e5-b260aea7e058 <nil>
	// process: no deterministic id: nothing that contributes is set
}

func ExampleMarkings() {
	var markings stix.Markings // learns from the marking-definitions that it is shown
	o, err := stix.Parse([]byte(`{"type":"report","id":"report--1",
		"object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"],
		"granular_markings":[{"selectors":["name"],"marking_ref":"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(markings.TLP(o))
	// Output: red
}

func ExampleSplit() {
	var objs []stix.Object
	for _, raw := range []string{
		`{"type":"relationship","id":"relationship--1","source_ref":"malware--1","target_ref":"tool--1"}`,
		`{"type":"malware","id":"malware--1"}`,
		`{"type":"tool","id":"tool--1","created_by_ref":"malware--1"}`,
		`{"type":"x-own","id":"x-own--1"}`,
	} {
		o, err := stix.Parse([]byte(raw))
		if err != nil {
			fmt.Println(err)
			return
		}
		objs = append(objs, o)
	}
	pieces, dropped, err := stix.Split("bundle--1", objs, stix.SplitOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range pieces {
		fmt.Println(p.Deps, p.Object.ID())
	}
	for _, d := range dropped {
		fmt.Println("dropped:", d.ID, "-", d.Reason)
	}
	// Output:
	// 1 malware--1
	// 2 tool--1
	// 4 relationship--1
	// dropped: x-own--1 - unsupported type x-own
}

func ExampleObject_Apply() {
	now, err := stix.Parse([]byte(`{"type":"malware","id":"malware--1","name":"New name","labels":["a","b"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	// What an update event of OpenCTI carries: the reverse patch leads to the version before.
	before, err := now.Apply([]byte(`[{"op":"replace","path":"/name","value":"Old name"},{"op":"remove","path":"/labels/1"}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(before.Raw()))
	for _, c := range stix.Changes(before, now) {
		fmt.Println(c)
	}
	fmt.Println(string(stix.Diff(before, now)))
	// Output:
	// {"type":"malware","id":"malware--1","name":"Old name","labels":["a"]}
	// /name changed from "Old name" to "New name"
	// /labels/1 added: "b"
	// [{"op":"replace","path":"/name","value":"New name"},{"op":"add","path":"/labels/1","value":"b"}]
}

func ExampleLift() {
	old, err := stix.Parse([]byte(`{"type":"malware","id":"malware--1","created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000Z","name":"m","labels":["trojan","mine"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	list, err := stix.Lift(old)
	fmt.Println(string(list[0].Raw()), err)
	// Output:
	// {"type":"malware","spec_version":"2.1","id":"malware--1","created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000Z","name":"m","labels":["mine"],"malware_types":["trojan"],"is_family":true} <nil>
}

func ExampleMerge() {
	older, err := stix.Parse([]byte(`{"type":"tool","id":"tool--1","name":"old","labels":["a","b"],"aliases":["z"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	newer, err := stix.Parse([]byte(`{"type":"tool","id":"tool--1","name":"new","labels":["b","c"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	merged, err := stix.Merge(older, newer)
	fmt.Println(string(merged.Raw()), err)
	// Output: {"type":"tool","id":"tool--1","name":"new","labels":["b","c","a"],"aliases":["z"]} <nil>
}
