package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// corpus is the file that is imported.
type corpus struct {
	path    string
	objects int    // distinct ids
	size    string // the mix of sizes
}

// source is what the generated corpus is made from, relative to the project's root.
const source = "testdata/ics-attack.json.gz"

// corpus returns the file to import; it is made once.
func (b *bench) corpus() (*corpus, error) {
	if b.made != nil {
		return b.made, nil
	}
	c := &corpus{path: b.options.corpus}
	var err error
	if c.path == "" {
		c.path = filepath.Join(b.tmp, "corpus.json")
		err = multiply(source, c.path, b.n)
	}
	if err == nil {
		err = c.count()
	}
	if err != nil {
		return nil, err
	}
	b.made = c
	b.say("corpus: %d objects; %s", c.objects, c.size)
	return c, nil
}

// count reads the file once, as an import does.
func (c *corpus) count() error {
	ids := map[string]struct{}{}
	var all []int
	err := read(c.path, func(o stix.Object) error {
		if _, again := ids[o.ID()]; !again {
			all = append(all, len(o.Raw()))
		}
		ids[strings.Clone(o.ID())] = struct{}{}
		return nil
	})
	c.objects, c.size = len(ids), sizes(all)
	if err == nil && c.objects == 0 {
		err = fmt.Errorf("%s holds no object", c.path)
	}
	return err
}

// read yields the objects of a file.
func read(path string, yield func(stix.Object) error) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; run it in the project's root, or name a file with -corpus", err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := stix.Open(f)
	if err != nil {
		return err
	}
	defer z.Close()
	r := stix.NewReader(z)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = e.Err
		}
		if err == nil {
			err = yield(e.Object)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}

// multiply writes a bundle of n objects: those of the bundle at from, again and again, each time with other ids. References stay
// whole within one copy; markings and extensions are the same in all of them.
func multiply(from, to string, n int) error {
	var all []stix.Object
	if err := read(from, func(o stix.Object) error { all = append(all, o); return nil }); err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprint(w, `{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[`)
	for copies, done := uint64(0), 0; done < n; copies++ {
		for _, o := range all {
			if done == n || copies > 0 && shared(o.Type()) {
				continue
			}
			if done > 0 {
				fmt.Fprint(w, ",\n")
			}
			_, _ = w.Write(renumber(o.Raw(), copies)) // Flush tells
			done++
		}
		if copies > 1<<31 {
			return fmt.Errorf("%s holds nothing to multiply", from)
		}
	}
	fmt.Fprint(w, "]}\n")
	return errors.Join(w.Flush(), f.Sync(), f.Close())
}

// shared are the types that keep their ids in all copies.
func shared(typ string) bool { return typ == "marking-definition" || typ == "extension-definition" }

// renumber gives every id in an object's text its name in a copy: the first eight digits of its UUID change.
func renumber(raw []byte, copies uint64) []byte {
	if copies == 0 {
		return raw
	}
	out := append([]byte(nil), raw...)
	for i := 1; i+38 <= len(out); i++ {
		if out[i] != '-' || out[i+1] != '-' || out[i+10] != '-' || out[i+15] != '-' || out[i+20] != '-' || out[i+25] != '-' {
			continue
		}
		start := i
		for start > 0 && (out[start-1] == '-' || out[start-1] >= 'a' && out[start-1] <= 'z') {
			start--
		}
		if shared(string(out[start:i])) {
			continue
		}
		x, err := strconv.ParseUint(string(out[i+2:i+10]), 16, 32)
		if err != nil {
			continue
		}
		copy(out[i+2:], fmt.Sprintf("%08x", x^copies))
	}
	return out
}
