package stix_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheCodeInTheDocumentationIsThatOfTheExamples keeps docs/stix.md to code that runs.
func TestTheCodeInTheDocumentationIsThatOfTheExamples(t *testing.T) {
	trim := func(text string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				b.WriteString(line + "\n")
			}
		}
		return b.String()
	}
	page, err := os.ReadFile("../docs/stix.md")
	if err != nil {
		t.Fatal(err)
	}
	var code string
	files, err := filepath.Glob("*/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, "example_test.go") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code += trim(string(raw))
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(code, trim(block)) {
			t.Errorf("in no example:\n%s", block)
		}
	}
	if len(blocks) < 8 || len(files) < 4 {
		t.Errorf("%d blocks of code, %d files of examples", len(blocks), len(files))
	}
}
