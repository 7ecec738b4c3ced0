package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

func TestMakePrintsEveryTarget(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Fatalf("make: %v", err)
	}
	cmd := exec.Command("make", "--no-print-directory")
	cmd.Dir = testpeer.Root(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, m := range regexp.MustCompile(`(?m)^\.PHONY: (\S+)`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		if !regexp.MustCompile(`(?m)^  make ` + m[1] + ` +\S`).Match(out) {
			t.Errorf("make does not print %s", m[1])
		}
	}
}

func TestCIScriptsAreShell(t *testing.T) {
	for _, script := range []string{".ci/run", ".ci/peers"} {
		path := filepath.Join(testpeer.Root(t), script)
		if out, err := exec.Command("bash", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o100 == 0 {
			t.Errorf("%s is not executable", script)
		}
	}
}
