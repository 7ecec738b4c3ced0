package validate_test

import (
	"fmt"

	"github.com/stixbridge/stixbridge/stix/validate"
)

func ExampleRaw() {
	for _, e := range validate.Raw([]byte(`{"type":"ipv4-addr","id":"ipv4-addr--0bdfffc2-d6e5-5347-b3d4-7511e49cb982","value":"300.1.1.1"}`)) {
		fmt.Println(e)
	}
	// Output: /value: "300.1.1.1" is no address or range of this kind (STIX 2.1, section 6.8)
}
