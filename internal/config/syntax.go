package config

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "github.com/oasdiff/yaml3"
)

var (
	syntaxLine    = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(?s)(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced`)
	// complaints of the parser proper; all others come from the scanner
	parserSays = regexp.MustCompile(`^(did not find expected (node content|',' or|key|'-' indicator|<)|found (undefined tag|incompatible|duplicate))`)
)

// syntax places what the parser complains about; it names at most a line, and not always the right one.
func (d *document) syntax(text []byte, err error) (at position, key, format string, message any) {
	// A line more in front makes every line number known that is the first line's, because the library leaves a zero out.
	var again yaml.Node
	dec := yaml.NewDecoder(io.MultiReader(strings.NewReader("#\n"), bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))))
	shifted := dec.Decode(&again)
	if shifted == nil {
		shifted = dec.Decode(&again)
	}
	if shifted == nil || shifted == io.EOF {
		shifted = err
	}
	m := syntaxLine.FindStringSubmatch(shifted.Error())
	line, _ := strconv.Atoi(m[1])
	complaint := strings.TrimSpace(m[2])
	if !parserSays.MatchString(complaint) {
		line-- // the scanner counts from 1, the parser from 0
	}
	line = min(max(line, 1), len(d.lines))
	if a := unknownAnchor.FindStringSubmatch(complaint); a != nil {
		if i := bytes.Index(text, []byte("*"+a[1])); i >= 0 {
			return d.offset(text, i), "", "not YAML: %s", complaint + "; " + remedy(complaint)
		}
	}
	on := d.lines[line-1]
	col := utf8.RuneCountInString(on) - utf8.RuneCountInString(strings.TrimLeft(on, " \t")) + 1
	if strings.TrimSpace(on) == "" {
		col = 1
	}
	return position{d.file, line, col}, "", "not YAML: %s", complaint + "; " + remedy(complaint)
}

// remedy for the complaints that people meet.
func remedy(complaint string) string {
	for _, r := range []struct{ part, remedy string }{
		{"mapping values are not allowed", "check the indentation, and put text with a colon in quotes"},
		{"cannot start any token", "indent with spaces, not tabs, and put text that begins with @, ` or % in quotes"},
		{"unknown anchor", "define the anchor (&name) above its use, or put text that begins with * in quotes"},
		{"did not find expected key", "check the indentation of this block"},
		{"did not find expected ',' or", "close the bracket, or put text with brackets, commas or ${…} in quotes"},
		{"unexpected end of stream", "close the quote"},
		{"could not find expected ':'", "write key: value, with a space behind the colon"},
		{"did not find expected node content", "close the bracket, or give a value"},
		{"<document start>", "give all keys of a block the same indentation"},
		{"did not find expected '-' indicator", "begin every item of the list with - in the same column"},
		{"unknown escape", "use single quotes, or double the backslash"},
	} {
		if strings.Contains(complaint, r.part) {
			return r.remedy
		}
	}
	return "check this line and the ones before it"
}

// invalidText returns the offset of the first byte that YAML text must not hold, or -1.
func invalidText(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return i
		}
		i += size
	}
	return -1
}

func (d *document) offset(text []byte, i int) position {
	before := text[:i]
	start := bytes.LastIndexByte(before, '\n') + 1
	return position{d.file, bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1}
}
