package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// natsCLIVersion is the version of github.com/nats-io/natscli/nats that .ci/peers builds.
const natsCLIVersion = "v0.5.1"

// NATSServer returns the path of a nats-server binary of the version in go.mod.
func NATSServer(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`github\.com/nats-io/nats-server/v2 (v\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatal("go.mod does not name github.com/nats-io/nats-server/v2")
	}
	return tool(t, "nats-server", string(m[1]))
}

// NATSCLI returns the path of the nats command line.
func NATSCLI(t testing.TB) string {
	t.Helper()
	return tool(t, "nats", natsCLIVersion)
}

func tool(t testing.TB, name, version string) string {
	t.Helper()
	path := filepath.Join(Root(t), ".cache", "bin", name+"-"+version)
	if _, err := os.Stat(path); err != nil {
		missing(t, name+" "+version, "run `make peers`")
	}
	return path
}

// Chromium returns the path of a Chromium or Chrome. Start it with --headless --no-sandbox --disable-gpu
// --disable-background-networking --no-first-run and a fresh --user-data-dir: without them it calls home.
func Chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "Chromium", "run `make peers` as root, or install the package chromium")
	return ""
}
