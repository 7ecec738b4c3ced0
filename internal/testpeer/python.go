package testpeer

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Python returns the path of a Python interpreter that has pycti and what else .ci/requirements.txt pins. need names the
// distributions that the test uses (pycti when none is named: "stix2-validator", "medallion" …); each must be there in the
// pinned version.
func Python(t testing.TB, need ...string) string {
	t.Helper()
	python := filepath.Join(Root(t), ".cache", "venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		missing(t, "the Python environment .cache/venv", "run `make peers`")
	}
	if len(need) == 0 {
		need = []string{"pycti"}
	}
	have, err := distributions(python)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pins(filepath.Join(Root(t), ".ci", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range need {
		switch {
		case want[name] == "":
			t.Fatalf("the Python distribution %s is not pinned in .ci/requirements.txt", name)
		case have[name] != want[name]:
			missing(t, "the Python distribution "+name+" "+want[name]+" (found: "+or(have[name], "none")+")", "run `make peers`")
		}
	}
	return python
}

func or(s, alternative string) string {
	if s == "" {
		return alternative
	}
	return s
}

var (
	distMu sync.Mutex
	dists  map[string]string
)

// distributions lists what is installed, asked once for each process.
func distributions(python string) (map[string]string, error) {
	distMu.Lock()
	defer distMu.Unlock()
	if dists != nil {
		return dists, nil
	}
	const script = `from importlib.metadata import distributions
for d in distributions(): print(d.metadata["Name"].lower().replace("_", "-") + "==" + d.version)`
	out, err := exec.Command(python, "-c", script).Output()
	if err != nil {
		return nil, err
	}
	dists = pinLines(string(out))
	return dists, nil
}

func pins(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return pinLines(string(text)), nil
}

// pinLines reads lines of name==version.
func pinLines(text string) map[string]string {
	found := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if name, version, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=="); ok && !strings.HasPrefix(name, "#") {
			found[name] = version
		}
	}
	return found
}
