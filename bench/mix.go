package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/stixbridge/stixbridge/stix"
)

// mixSize is how many objects the mixed corpus has when it is generated here.
const mixSize = 263_000

// mixed returns the corpus of the import section: the one that was named, the shared one of real feeds where it is at hand, or one of the same
// mix: nine of ten objects are indicators of some 570 bytes, the others are ATT&CK.
func (b *bench) mixed() (*corpus, error) {
	if b.mix != nil {
		return b.mix, nil
	}
	if b.options.corpus != "" {
		return b.corpus()
	}
	c := &corpus{path: filepath.Join(b.tmp, "mixed.jsonl")}
	what := "real feeds"
	err := b.shared(c.path)
	if errors.Is(err, os.ErrNotExist) {
		what = "generated, the mix of real feeds"
		err = mixture(c.path, mixSize)
	}
	if err == nil {
		err = c.count()
	}
	if err != nil {
		return nil, err
	}
	b.say("mixed corpus: %s, %d objects; %s", what, c.objects, c.size)
	b.mix = c
	return c, nil
}

// shared makes the corpus of real feeds with the script beside the checkout, or says that there is none.
func (b *bench) shared(to string) error {
	script := filepath.Join(b.feeds, "make-corpus.py")
	if _, err := os.Stat(script); err != nil {
		return os.ErrNotExist
	}
	out, err := exec.Command("python3", script, "-o", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return nil
}

// mixture writes n objects of that mix.
func mixture(path string, n int) error {
	var all []stix.Object
	if err := read(source, func(o stix.Object) error {
		if !shared(o.Type()) {
			all = append(all, o)
		}
		return nil
	}); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	const day = "2026-01-01T00:00:00.000Z"
	for i := range n {
		if i%10 == 9 {
			k := i / 10
			_, _ = w.Write(renumber(all[k%len(all)].Raw(), uint64(k/len(all)))) // Flush tells
			_ = w.WriteByte('\n')
			continue
		}
		host := fmt.Sprintf("host-%d.example.org", i)
		fmt.Fprintf(w, `{"type":"indicator","spec_version":"2.1","id":"indicator--%s","created":"%s","modified":"%s","name":"%s","description":"listed by a feed of addresses and hosts","pattern":"[domain-name:value = '%s']","pattern_type":"stix","valid_from":"%s","indicator_types":["malicious-activity"],"labels":["feed","listed"],"confidence":70,"external_references":[{"source_name":"feed","url":"https://feed.example.org/lists/%d"}]}`+"\n",
			name("mixed "+host), day, day, host, host, day, i%100)
	}
	return errors.Join(w.Flush(), f.Close())
}
