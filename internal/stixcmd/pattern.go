package stixcmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/pattern"
)

// Pattern reads one pattern a line, as a JSON string or as plain text, and prints what it
// is worth: {"syntax_ok":true,"extract":[…]} or {"syntax_ok":…,"refuse":"reason"}.
func Pattern(in io.Reader, out, errs io.Writer) error {
	return eachLine(in, out, func(n int, line []byte, out *bytes.Buffer) {
		src, _ := patternText(line)
		p, err := pattern.Parse(src)
		if err == nil {
			err = p.Check()
		}
		if err != nil {
			fmt.Fprintf(errs, "line %d: %v\n", n, err)
			fmt.Fprintf(out, "{\"syntax_ok\":false,\"refuse\":%q}\n", pattern.ReasonSyntax)
			return
		}
		list, err := p.Extract()
		var refusal *pattern.Refusal
		if errors.As(err, &refusal) {
			fmt.Fprintf(out, "{\"syntax_ok\":true,\"refuse\":%q}\n", refusal.Reason)
			return
		}
		out.WriteString(`{"syntax_ok":true,"extract":[`)
		for i, o := range list {
			if i > 0 {
				out.WriteByte(',')
			}
			raw, err := o.MarshalJSON()
			if err != nil {
				raw = []byte("null")
			}
			out.Write(raw)
		}
		out.WriteString("]}\n")
	})
}

// patternText is the pattern in a line; quoted says that it was a JSON string.
func patternText(line []byte) (src string, quoted bool) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if trimmed := bytes.TrimSpace(line); len(trimmed) > 1 && trimmed[0] == '"' && json.Unmarshal(trimmed, &src) == nil {
		return src, true
	}
	return string(line), false
}

// Fmt writes patterns in their usual form, one a line, quoted if they came quoted. A line
// that is a STIX object is written compactly, and if it is an indicator with a STIX pattern
// that is put into its usual form. What cannot be read is passed on as it is.
func Fmt(in io.Reader, out, errs io.Writer) error {
	return eachLine(in, out, func(n int, line []byte, out *bytes.Buffer) {
		formatted, err := formatLine(line)
		if err != nil {
			fmt.Fprintf(errs, "line %d: %v\n", n, err)
			formatted = line
		}
		out.Write(formatted)
		out.WriteByte('\n')
	})
}

func formatLine(line []byte) ([]byte, error) {
	if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && trimmed[0] == '{' {
		o, err := stix.Parse(bytes.Clone(trimmed))
		if err != nil {
			return nil, err
		}
		if kind := o.Text("pattern_type"); o.Type() != "indicator" || kind != "stix" && kind != "" {
			return o.Raw(), nil
		}
		text, err := pattern.Format(o.Text("pattern"))
		if err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
		o, err = o.Set("pattern", text)
		return o.Raw(), err
	}
	src, quoted := patternText(line)
	text, err := pattern.Format(src)
	if err != nil || !quoted {
		return []byte(text), err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err = enc.Encode(text)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
