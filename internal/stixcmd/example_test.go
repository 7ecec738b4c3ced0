package stixcmd_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/stixbridge/stixbridge/internal/stixcmd"
)

func ExamplePattern() {
	in := strings.NewReader("[ipv4-addr:value = '198.51.100.7']\n\"[domain-name:value != 'good.example']\"\n")
	if err := stixcmd.Pattern(in, os.Stdout, os.Stderr); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"syntax_ok":true,"extract":[{"type":"ipv4-addr","match":"eq","properties":{"value":"198.51.100.7"}}]}
	// {"syntax_ok":true,"refuse":"negation"}
}
