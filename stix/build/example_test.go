package build_test

import (
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/build"
	"github.com/stixbridge/stixbridge/stix/observable"
	"github.com/stixbridge/stixbridge/stix/validate"
)

func ExampleIndicator() {
	v, err := observable.Detect("hxxp://evil[.]example/it's")
	if err != nil {
		fmt.Println(err)
		return
	}
	o, err := build.Indicator(v, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)).Score(80).Labels("phishing").Object()
	fmt.Println(o.ID(), err)
	fmt.Println(o.Text("pattern"))
	// Output:
	// indicator--5b5c4e32-5867-547e-bfb1-65d64caa0571 <nil>
	// [url:value = 'http://evil.example/it\'s']
}

// A feed's entry becomes an author, an observable, an indicator and what joins them.
func Example() {
	seen := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) // the source's date: never now
	author, err := build.Identity("Acme feeds", "organization").Created(seen).Object()
	if err != nil {
		fmt.Println(err)
		return
	}
	green, err := build.TLP(stix.Green)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := observable.Detect("198[.]51[.]100[.]7")
	if err != nil {
		fmt.Println(err)
		return
	}
	address, err := build.Observable(v).Score(80).Author(author).Markings(green).Object()
	if err != nil {
		fmt.Println(err)
		return
	}
	indicator, err := build.Indicator(v, seen).Score(80).ValidUntil(seen.AddDate(0, 3, 0)).Author(author).Markings(green).Object()
	if err != nil {
		fmt.Println(err)
		return
	}
	link, err := build.BasedOn(indicator, address).Created(seen).Author(author).Object()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range []stix.Object{author, green, address, indicator, link} {
		fmt.Println(o.ID(), len(validate.Object(o)))
	}
	_, err = build.Malware("No date", true).Object()
	fmt.Println(err)
	// Output:
	// identity--b123f6a5-3656-5732-b5ee-e2ae22e8e9df 0
	// marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da 0
	// ipv4-addr--12592121-be4c-5a93-a813-5a5af16e50db 0
	// indicator--3ae0b0a2-7289-5fda-8a85-02d057ba0968 0
	// relationship--57651e36-70cc-5200-85dd-498e3f90e96c 0
	// malware: created is needed: the date of the source, not that of now, so that the same input gives the same object
}
