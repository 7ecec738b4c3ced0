package config

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	schema "github.com/invopop/jsonschema"
)

// readSecret reads a file that a *_FILE variable or a …_file key names; the line end at its end is not part of the text.
func readSecret(name string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the file it names: %w; give the path of a readable file", plainError(err))
	case !info.Mode().IsRegular() || info.Size() > maxSecretFile:
		return "", fmt.Errorf("%s is no regular file of at most %d bytes; give the path of a text file", name, maxSecretFile)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("cannot read the file it names: %w; give the path of a readable file", plainError(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w; give the path of a readable file", name, plainError(err))
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty; write the value into it", name)
	}
	return text, nil
}

// plainError leaves the system call's name out.
func plainError(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

// secretFiles replaces token_file: path by token: content, for every key that holds a secret.
func (l *loader) secretFiles(n *node, s *schema.Schema, at path) {
	if n == nil || s == nil || n.shape != mapping || s.Properties == nil {
		return
	}
	for _, f := range slices.Clone(n.fields) {
		key, isFile := strings.CutSuffix(f.name, "_file")
		if _, declared := s.Properties.Get(f.name); declared || !isFile {
			l.secretFiles(f.value, under(s, path{}.key(f.name)), at.key(f.name))
			continue
		}
		if secret, ok := s.Properties.Get(key); !ok || !isSecret(secret) {
			continue
		}
		place := at.key(f.name).String()
		n.drop(f.name)
		switch {
		case n.get(key) != nil:
			l.report.errorf(f.key, place, "%s is set too; keep one of them", key)
		case f.value.text() == "":
			l.report.errorf(f.value.at, place, "names no file; give the path of a text file")
		default:
			text, err := readSecret(f.value.text())
			if err != nil {
				l.report.errorf(f.value.at, place, "%v", err)
				text = "?" // the key is there, so that it is not reported as missing
				l.broken(at)
			}
			n.set(key, f.key, &node{at: f.value.at, value: text, loose: true})
		}
	}
}
