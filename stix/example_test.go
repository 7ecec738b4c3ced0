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
