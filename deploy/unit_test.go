package deploy_test

import (
	"strings"
	"testing"
)

func TestUnitStopsInOrderAndDoesNotRetryAWrongConfiguration(t *testing.T) {
	text := read(t, "deploy/systemd/stixbridge.service")
	for _, want := range []string{"\n[Unit]\n", "\n[Service]\n", "\n[Install]\n", "\nRestartPreventExitStatus=2\n", "\nDynamicUser=yes\n", "\nMemoryMax="} {
		if !strings.Contains(text, want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
}
