package build_test

import (
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/stix/build"
	"github.com/stixbridge/stixbridge/stix/observable"
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
