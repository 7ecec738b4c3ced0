package warninglist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// maxFile bounds one list, decompressed.
const maxFile = 512 << 20

// list is one warning list as MISP publishes it.
type list struct {
	slug       string
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Values     []string `json:"list"`
	Attributes []string `json:"matching_attributes"`
}

// load reads all lists, in the order of their short names.
func load(paths []string) (*index, error) {
	var files []string
	for _, p := range paths {
		found, err := expand(p)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	var lists []*list
	for _, f := range files {
		l, err := read(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		lists = append(lists, l)
	}
	slices.SortStableFunc(lists, func(a, b *list) int { return strings.Compare(a.slug, b.slug) })
	x := newIndex()
	for i, l := range lists {
		if i > 0 && lists[i-1].slug == l.slug {
			return nil, fmt.Errorf("two lists are called %s: rename a file, or name one of them only", l.slug)
		}
		if err := x.add(l); err != nil {
			return nil, fmt.Errorf("list %s: %w", l.slug, err)
		}
	}
	return x, nil
}

// expand lists the files under a directory; a file stands for itself.
func expand(path string) (files []string, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasSuffix(p, ".json") || strings.HasSuffix(p, ".json.gz")) {
			files = append(files, p)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s holds no .json or .json.gz file", path)
	}
	return files, err
}

func read(path string) (*list, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller names the file
	}
	defer f.Close()
	plain, err := stix.Limit{Bytes: maxFile, Ratio: 1000, Grace: 64 << 20}.Open(f)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	b, err := io.ReadAll(plain)
	if err != nil {
		return nil, err
	}
	l := &list{slug: slug(path)}
	if err := json.Unmarshal(b, l); err != nil {
		return nil, fmt.Errorf("no warning list: %w", err)
	}
	if l.Type == "" || l.Values == nil {
		return nil, errors.New("no warning list: it has no type or no list")
	}
	return l, nil
}

// slug is the short name: MISP keeps each list as <slug>/list.json, others as <slug>.json.
func slug(path string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".json")
	if base == "list" {
		if abs, err := filepath.Abs(path); err == nil {
			return filepath.Base(filepath.Dir(abs))
		}
	}
	return base
}
