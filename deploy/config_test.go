package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	yaml "github.com/oasdiff/yaml3"
)

// setup is what a bridge's configuration must have to be looked at here; `stixbridge check` judges the rest.
type setup struct {
	NATS, HTTP, OpenCTI, Log map[string]any
	Producers                []map[string]any
	Consumers                []map[string]any
}

func TestBridgeConfigurationsNameOnlyWhatExists(t *testing.T) {
	texts := map[string]string{"deploy/k8s/stixbridge.yaml": k8sConfig(t)}
	for _, path := range []string{"deploy/demo.yaml", "deploy/compose/alone.yaml", "deploy/compose/cluster.yaml", "deploy/compose/opencti.yaml"} {
		texts[path] = read(t, path)
	}
	for path, text := range texts {
		decoder := yaml.NewDecoder(strings.NewReader(text))
		decoder.KnownFields(true)
		var s setup
		if err := decoder.Decode(&s); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		names := map[string]bool{}
		producers := map[any]bool{"*": true}
		for _, section := range append(slices.Clone(s.Producers), s.Consumers...) {
			name := fmt.Sprint(section["name"])
			if names[name] {
				t.Errorf("%s: the name %s is taken", path, name)
			}
			names[name] = true
			if section["kind"] == nil {
				t.Errorf("%s: %s has no kind", path, name)
			}
		}
		for _, p := range s.Producers {
			producers[p["name"]] = true
			url, _ := p["url"].(string)
			if file := strings.TrimPrefix(url, "/"); strings.HasPrefix(file, "testdata/") && !exists(t, file) {
				t.Errorf("%s: no file %s", path, file)
			}
		}
		for _, c := range s.Consumers {
			list, _ := c["producers"].([]any)
			for _, p := range list {
				if !producers[p] {
					t.Errorf("%s: consumer %s names the unknown producer %v", path, c["name"], p)
				}
			}
		}
	}
}
