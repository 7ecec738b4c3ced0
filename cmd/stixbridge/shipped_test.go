package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestShippedConfigurationsAreRight(t *testing.T) {
	t.Chdir("../..")
	for _, v := range []string{"STIXBRIDGE_HTTP_TOKENS_VIEWER", "STIXBRIDGE_HTTP_TOKENS_OPERATOR", "NATS_PASSWORD", "OPENCTI_STREAM", "OPENCTI_TOKEN", "OPENCTI_READER_TOKEN"} {
		t.Setenv(v, "test")
	}
	files, err := filepath.Glob("deploy/compose/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configurations: %v", err)
	}
	for _, f := range append(files, "deploy/demo.yaml") {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), []string{"check", "-c", f}, strings.NewReader(""), &out, &errs); code != 0 {
			t.Errorf("check -c %s: exit %d\n%s%s", f, code, &out, &errs)
		}
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range [][]string{{"run"}, {"check"}, {"import"}, {"tap"}, {"replay"}, {"dlq", "list"}, {"dlq", "show"}, {"dlq", "redrive"}, {"dlq", "drop"}, {"status"},
		{"pause"}, {"resume"}, {"get"}, {"erase"}, {"stix", "id"}, {"stix", "split"}, {"stix", "validate"}, {"stix", "pattern"}, {"stix", "fmt"}, {"schema"}} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), append(slices.Clone(c), "--help"), strings.NewReader(""), &out, &errs); code != 0 || !strings.Contains(out.String(), "Example: ") {
			t.Errorf("%v --help: exit %d, no example in\n%s%s", c, code, &out, &errs)
		}
	}
}
