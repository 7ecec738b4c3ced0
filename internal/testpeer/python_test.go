package testpeer

import (
	"os/exec"
	"strings"
	"testing"
)

func TestPythonHasThePinnedParts(t *testing.T) {
	python := Python(t, "pycti", "stix2-validator", "medallion", "opentelemetry-exporter-prometheus")
	out, err := exec.Command(python, "-c", "import pycti, stix2validator, medallion; print(pycti.__version__)").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != "7.261026.0" {
		t.Errorf("pycti %s", got)
	}
}

func TestPythonPinsAreReadWithoutComments(t *testing.T) {
	got := pinLines("# a==1\n\npycti==7.261026.0\n  x == y\n#b==2\nmedallion==3.0.0 \nname\n")
	for name, want := range map[string]string{"pycti": "7.261026.0", "medallion": "3.0.0", "a": "", "b": "", "name": ""} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}
