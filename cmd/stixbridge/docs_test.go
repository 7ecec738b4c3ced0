package main

//go:generate sh -c "go run . schema > ../../docs/config.schema.json"
//go:generate sh -c "go run . schema --reference > ../../docs/reference.md"

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/config"
)

const root = "../.."

// pagesOfDocs are the Markdown files that people read, by their paths from the root.
func pagesOfDocs(t *testing.T) map[string]string { t.Helper(); return pagesAt(t, root) }

func pagesAt(t *testing.T, root string) map[string]string {
	t.Helper()
	pages := map[string]string{}
	add := func(path string) {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		pages[path] = string(b)
	}
	for _, path := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		add(path)
	}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			rel, _ := filepath.Rel(root, path)
			add(rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func TestGeneratedPagesAreCurrent(t *testing.T) {
	for path, render := range map[string]func(config.Plugins) ([]byte, error){
		"docs/config.schema.json": config.Schema, "docs/reference.md": config.Reference,
	} {
		want, err := render(plugins())
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(have), string(want)); d != "" {
			t.Errorf("%s is out of date; run make generate (- file, + code):\n%s", path, d)
		}
	}
}

var (
	fences  = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$")
	links   = regexp.MustCompile(`(?:\]\(|src="|srcset="|href=")([^)"\s]+)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// slugs are the anchors of a page, as GitHub makes them.
func slugs(page string) (all []string) {
	for _, h := range heading.FindAllStringSubmatch(fences.ReplaceAllString(page, ""), -1) {
		all = append(all, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	for path, text := range pagesOfDocs(t) {
		for _, m := range links.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := text
			if file != "" {
				b, err := os.ReadFile(filepath.Join(root, filepath.Dir(path), file))
				if st, serr := os.Stat(filepath.Join(root, filepath.Dir(path), file)); serr == nil && st.IsDir() {
					continue
				}
				if err != nil {
					t.Errorf("%s: link %s leads nowhere", path, m[1])
					continue
				}
				target = string(b)
			}
			if anchor != "" && !slices.Contains(slugs(target), anchor) {
				t.Errorf("%s: link %s: there is no such heading", path, m[1])
			}
		}
	}
}

// commandLines are the lines of a page's shell blocks that call stixbridge, split into words.
func commandLines(page string) (all [][]string) {
	for _, m := range fences.FindAllStringSubmatch(page, -1) {
		if m[1] != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(m[2], "\\\n", " ")) {
			for _, part := range strings.Split(line, " | ") {
				words := shellWords(strings.TrimSpace(part))
				for i, w := range words {
					if w == "stixbridge" || w == "./bin/stixbridge" || w == "bin/stixbridge" {
						all = append(all, words[i+1:])
						break
					}
					if !strings.Contains(w, "=") && w != "sudo" { // variables may stand before
						break
					}
				}
			}
		}
	}
	return all
}

// shellWords splits a line at spaces outside of quotes and leaves comments and redirections out.
func shellWords(line string) (words []string) {
	var word strings.Builder
	var quote rune
	in := false
	end := func() {
		if in {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, in = c, true
		case (c == '#' || c == '<' || c == '>' || c == '&') && !in:
			return words
		case c == ' ':
			end()
		default:
			in = true
			word.WriteRune(c)
		}
	}
	end()
	return words
}

func TestCommandsInTheDocumentationExist(t *testing.T) {
	n := 0
	for path, text := range pagesOfDocs(t) {
		for _, args := range commandLines(text) {
			n++
			var c cli
			p, err := kong.New(&c, kong.Name("stixbridge"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Parse(args); err != nil {
				t.Errorf("%s: stixbridge %s: %v", path, strings.Join(args, " "), err)
			}
		}
	}
	if n == 0 {
		t.Error("no command found: the test looks in the wrong place")
	}
}

func TestConfigurationsInTheDocumentationAreValid(t *testing.T) {
	t.Chdir(root) // relative paths in them are relative to the clone
	env := []string{"OPENCTI_URL=https://opencti.example.org", "OPENCTI_TOKEN=t", "OPENCTI_READER_TOKEN=t", "WEBHOOK_SECRET=s", "NATS_PASSWORD=p"}
	n := 0
	for path, text := range pagesAt(t, ".") {
		if path == "docs/reference.md" { // its examples are sections without what they need around them
			continue
		}
		for _, m := range fences.FindAllStringSubmatch(text, -1) {
			if m[1] != "yaml" || !strings.Contains(m[2], "kind:") {
				continue
			}
			n++
			if _, err := config.Parse(path, []byte(m[2]), env, plugins()); err != nil {
				t.Errorf("%s: %v\n%s", path, err, m[2])
			}
		}
	}
	if n == 0 {
		t.Error("no configuration found: the test looks in the wrong place")
	}
}

func TestPromisesNameTestsThatExist(t *testing.T) {
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declared.FindAllStringSubmatch(string(b), -1) {
				have[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`")
	n := 0
	for path, text := range pagesOfDocs(t) {
		for _, m := range named.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
			n++
			if !have[m[1]] && path != "CONTRIBUTING.md" {
				t.Errorf("%s names %s, which does not exist", path, m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no test is named: the test looks in the wrong place")
	}
}

func TestContributingShowsTheExampleThatIsCompiled(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "bridge/example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	page := pagesOfDocs(t)["CONTRIBUTING.md"]
	for _, part := range []string{"producer", "producer test", "sink", "sink test"} {
		_, rest, ok1 := strings.Cut(string(b), "// begin "+part+"\n")
		code, _, ok2 := strings.Cut(rest, "// end "+part+"\n")
		if !ok1 || !ok2 {
			t.Fatalf("bridge/example_test.go has no part %q", part)
		}
		if !strings.Contains(page, fmt.Sprintf("```go\n%s\n```", strings.TrimSpace(code))) {
			t.Errorf("CONTRIBUTING.md does not show the %s of bridge/example_test.go as it is", part)
		}
	}
}

// foreign are texts in the operations page that do not stand in our code as they are: others say them, or they are put together.
var foreign = []string{"address already in use", "insufficient storage resources available", "is in use by process"}

func TestTextsInTheOperationsPageAreTheProgramsOwn(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			b, err := os.ReadFile(path)
			code.Write(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page := pagesOfDocs(t)["docs/operations.md"]
	words := regexp.MustCompile(`…|NAME|: |since`)
	n := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(page, -1) {
		for _, part := range words.Split(m[1], -1) {
			part = strings.TrimSpace(part)
			if len(part) < 12 || slices.Contains(foreign, part) || strings.Contains(part, "/") {
				continue
			}
			n++
			if !strings.Contains(code.String(), part) {
				t.Errorf("docs/operations.md: %q: the program does not say %q", m[1], part)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d texts found: the test looks in the wrong place", n)
	}
}

func TestEveryAlertHasItsRemedy(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "deploy/prometheus/rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	page := pagesOfDocs(t)["docs/operations.md"]
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(b), -1)
	if len(alerts) == 0 {
		t.Fatal("no alert found")
	}
	for _, m := range alerts {
		if !strings.Contains(page, "| "+m[1]+" |") {
			t.Errorf("docs/operations.md does not say what to do on the alert %s", m[1])
		}
	}
}
