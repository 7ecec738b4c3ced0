package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stixbridge/stixbridge/stix"
)

// growth prints how the price of an event grows with their number: the import of more and more of one corpus, and the reading of what it left
// behind by a sink that begins at its start. Sinks are in the section sinks, a million objects in the section million, members in members.
func growth(ctx context.Context, b *bench) error {
	whole, err := b.mixed()
	if err != nil {
		return err
	}
	var smallest [2]float64
	for _, n := range []int{whole.objects / 25, whole.objects / 5, whole.objects} {
		part := whole
		if n < whole.objects {
			part = &corpus{path: filepath.Join(b.tmp, fmt.Sprintf("first-%d.jsonl", n))}
			if err := first(whole.path, part.path, n); err != nil {
				return err
			}
			if err := part.count(); err != nil {
				return err
			}
		}
		in, out, err := b.grown(ctx, part)
		if err != nil {
			return err
		}
		for i, r := range []result{
			{Name: "import, by number of objects", Unit: "objects/s", Ours: float64(part.objects) / in.wall.Seconds(), CPU: float64(in.cpu.Microseconds()) / float64(part.objects)},
			{Name: "backlog → an idle sink, by number of events", Unit: "events/s", Ours: float64(part.objects) / out.wall.Seconds(), CPU: float64(out.cpu.Microseconds()) / float64(part.objects)},
		} {
			if smallest[i] == 0 {
				smallest[i] = r.Ours
			}
			r.Name, r.Runs, r.Met = fmt.Sprintf("%s: %d", r.Name, part.objects), 1, true
			r.Ratio, r.Against, r.Bare = r.Ours/smallest[i], "the smallest", smallest[i]
			r.Low, r.High = r.Ratio, r.Ratio
			b.add(r)
		}
	}
	return nil
}

// grown imports a corpus into a new store and reads it back once.
func (b *bench) grown(ctx context.Context, c *corpus) (in, out sample, err error) {
	dir := b.newDir()
	defer os.RemoveAll(dir)
	a, err := b.attach(ctx, dir)
	if err != nil {
		return in, out, err
	}
	in, err = b.imported(ctx, a, c, "growth", "create")
	if err = errors.Join(err, a.Detach()); err != nil {
		return in, out, err
	}
	var s side
	err = b.delivers(ctx, "growth-out", dir, []string{"behind"}, "{ kind: bench-idle, name: behind, was: none, start: all }", c.objects, &s)
	if err == nil {
		out = s[0]
	}
	return in, out, err
}

// first writes the first n objects of a corpus.
func first(from, to string, n int) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	err = read(from, func(o stix.Object) error {
		if n--; n < 0 {
			return errEnough
		}
		_, _ = w.Write(o.Raw()) // Flush tells
		return w.WriteByte('\n')
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, w.Flush(), f.Close())
}

var errEnough = errors.New("enough")
