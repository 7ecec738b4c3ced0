package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

type compose struct {
	Services map[string]struct {
		Image       string
		Profiles    []string
		Build       struct{ Context, Dockerfile string }
		Volumes     []string
		Networks    []string
		Ports       []string
		DependsOn   map[string]any `yaml:"depends_on"`
		Healthcheck map[string]any
		Environment map[string]any
	}
	Networks map[string]any
	Volumes  map[string]any
}

func TestComposeServicesNameOnlyWhatExists(t *testing.T) {
	file := documents[compose](t, "docker-compose.yml")[0]
	if len(file.Services) == 0 {
		t.Fatal("no services")
	}
	for name, s := range file.Services {
		if !pinned(s.Image) {
			t.Errorf("%s: image %q names no version", name, s.Image)
		}
		if s.Build.Dockerfile != "" && !exists(t, filepath.Join(s.Build.Context, s.Build.Dockerfile)) {
			t.Errorf("%s: no %s", name, s.Build.Dockerfile)
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, named := file.Volumes[source]; !named && !exists(t, source) {
				t.Errorf("%s: %s is neither a volume nor a file", name, source)
			}
		}
		for _, n := range s.Networks {
			if _, ok := file.Networks[n]; !ok && n != "default" {
				t.Errorf("%s: unknown network %s", name, n)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to everyone", name, p)
			}
		}
		for other := range s.DependsOn {
			o, ok := file.Services[other]
			if !ok || o.Healthcheck == nil {
				t.Errorf("%s waits for the health of %s, which has no such thing", name, other)
			}
			if !cmp.Equal(o.Profiles, s.Profiles) {
				t.Errorf("%s depends on %s of other profiles", name, other)
			}
		}
	}
}

func TestComposeProfilesStartWhatTheySay(t *testing.T) {
	got := map[string][]string{}
	for name, s := range documents[compose](t, "docker-compose.yml")[0].Services {
		for _, p := range append([]string{}, orDefault(s.Profiles)...) {
			got[p] = append(got[p], name)
		}
	}
	for _, names := range got {
		slices.Sort(names)
	}
	want := map[string][]string{
		"":        {"bridge"},
		"cluster": {"bridge-cluster", "nats-1", "nats-2", "nats-3", "rabbitmq"},
		"opencti": {"bridge-opencti"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services by profile (-want +got):\n%s", diff)
	}
}

func orDefault(profiles []string) []string {
	if len(profiles) == 0 {
		return []string{""}
	}
	return profiles
}

func TestNATSServerAcceptsTheClusterConfiguration(t *testing.T) {
	cmd := exec.Command(testpeer.NATSServer(t), "-t", "-c", filepath.Join(testpeer.Root(t), "deploy/compose/nats.conf"))
	cmd.Env = append(os.Environ(), "NATS_NAME=nats-1", "NATS_PASSWORD=secret")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
