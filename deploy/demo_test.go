package deploy_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/internal/where"
	"github.com/stixbridge/stixbridge/stix"
)

type demo struct {
	Producers []struct{ Name, URL, TLP string }
	Consumers []struct {
		Name   string
		Types  []string
		Where  string
		MaxTLP string `yaml:"max_tlp"`
	}
}

// The demo is to show gates at work: each of the second sink's must hold something back, and something must pass.
func TestDemoGatesHoldBackAndLetPass(t *testing.T) {
	config := documents[demo](t, "deploy/demo.yaml")[0]
	partner := config.Consumers[1]
	condition, err := where.Compile(partner.Where)
	if err != nil {
		t.Fatal(err)
	}
	ceiling, err := stix.ParseTLP(partner.MaxTLP)
	if err != nil {
		t.Fatal(err)
	}

	got := map[string]int{}
	for _, p := range config.Producers {
		unmarked := stix.Unmarked
		if p.TLP != "" {
			if unmarked, err = stix.ParseTLP(p.TLP); err != nil {
				t.Fatal(err)
			}
		}
		var markings stix.Markings
		objects := shipped(t, p.URL)
		for _, o := range objects {
			markings.Learn(o)
		}
		for _, o := range objects {
			level := markings.TLP(o)
			if level == stix.Unmarked {
				level = unmarked
			}
			pass, _, err := condition.Eval(o, where.Vars{Op: "create", Producer: p.Name, TLP: level})
			if err != nil {
				t.Fatalf("%s: %v", o.ID(), err)
			}
			switch {
			case !slices.Contains(partner.Types, o.Type()):
				got["types"]++
			case !pass:
				got["where"]++
			case level.Rank() > ceiling.Rank():
				got["max_tlp"]++
			default:
				got["pass"]++
			}
		}
	}
	want := map[string]int{"types": 1826, "where": 19, "max_tlp": 1, "pass": 41}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects by gate (-want +got):\n%s", diff)
	}
}

// shipped reads a bundle of the repository.
func shipped(t *testing.T, path string) []stix.Object {
	t.Helper()
	file, err := os.Open(filepath.Join(testpeer.Root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := stix.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	var objects []stix.Object
	for reader := stix.NewReader(plain); ; {
		element, err := reader.Next()
		if err == io.EOF {
			return objects
		}
		if err != nil || element.Err != nil {
			t.Fatalf("%s: %v, %v", path, err, element.Err)
		}
		objects = append(objects, element.Object)
	}
}
