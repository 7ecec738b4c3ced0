// Package deploy_test checks what can be checked of the deployment files without an engine: they parse, what they name
// exists, images are pinned, and their metrics are the program's.
package deploy_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	yaml "github.com/oasdiff/yaml3"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testpeer.Root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(testpeer.Root(t), path))
	return err == nil
}

// documents reads a file of YAML documents.
func documents[T any](t *testing.T, path string) []T {
	t.Helper()
	var all []T
	decoder := yaml.NewDecoder(strings.NewReader(read(t, path)))
	for {
		var one T
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, one)
	}
}
