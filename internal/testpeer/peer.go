// Package testpeer starts the real parts that tests run against: RabbitMQ, NATS servers, the nats command line and a
// Python with OpenCTI's own client. `make peers` installs them; nothing here downloads anything.
//
// A part that is missing skips the test and says how to get it. With CI=true it fails the test instead, so that a green
// run means that the part was there. Everything listens on loopback, keeps its data in a directory of its own and ends
// with the test process, however that ends.
//
// Only tests may import this package.
package testpeer

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// missing skips the test, or fails it where a missing part must not pass unnoticed.
func missing(t testing.TB, what, remedy string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, which is a failure with CI=true: %s", what, remedy)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s is missing: %s", what, remedy)
}

// Root is the directory of the module: the nearest one upwards that holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var root = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", os.ErrNotExist
		}
		dir = up
	}
})
