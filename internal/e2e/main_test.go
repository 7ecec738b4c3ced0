package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// binary is the bridge, built once for each test process.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stixbridge-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stixbridge")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/stixbridge/stixbridge/cmd/stixbridge")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// soak is SOAK, or 0.
func soak() int {
	n, _ := strconv.Atoi(os.Getenv("SOAK"))
	return n
}

// kills is how often each cell is killed.
func kills() int {
	if n := soak(); n > 0 {
		return n
	}
	return 3
}

// seed is that of the random moments: SEED, or 1. It is printed, so that a failure can be had again.
func seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		n = 1
	}
	t.Logf("SEED=%d", n)
	return n
}
