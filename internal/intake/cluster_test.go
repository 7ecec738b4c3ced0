package intake_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// externalServers names the servers that the tests of this package use instead of the embedded one.
const externalServers = "TEST_INTAKE_NATS_URL"

func external() string { return os.Getenv(externalServers) }

// here is the directory whose store the external server holds.
var here string

// empty removes what a test with another directory left on an external server.
func empty(t testing.TB, js jetstream.JetStream, dir string) {
	t.Helper()
	if dir == here {
		return
	}
	here = dir
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
}

// All tests of this package once more, in a process of their own, against a cluster of three servers with three copies of everything.
func TestEverythingHoldsOnAClusterOfThreeServers(t *testing.T) {
	if external() != "" {
		t.Skip("this is it")
	}
	servers := testpeer.Cluster(t, 3)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.count=1", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), externalServers+"="+servers.URL())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	passed := len(regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1))
	if passed < 10 {
		t.Errorf("only %d tests passed:\n%s", passed, out)
	}
	t.Logf("%d tests passed", passed)
}
