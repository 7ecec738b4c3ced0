package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

type importCmd struct {
	Source   []string `arg:"" name:"file|url" help:"STIX 2.1 bundle, TAXII envelope, list or JSON lines; .gz and .zst too."`
	Producer string   `default:"import" help:"Name that the events carry." placeholder:"NAME"`
	Format   string   `default:"auto" help:"Format of the input: auto or stix." enum:"auto,stix"`
	TLP      string   `name:"tlp" help:"Level of objects without a TLP marking." placeholder:"LEVEL"`
}

// Help shows an example.
func (importCmd) Help() string {
	return "Example: stixbridge import --producer attack --tlp clear enterprise-attack.json"
}

func (c *importCmd) Run(a *app) error {
	level, err := c.level()
	if err != nil {
		return err
	}
	for _, s := range c.Source {
		if strings.Contains(s, "://") {
			continue
		}
		if _, err := os.Stat(s); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return wrong(fmt.Errorf("%s: no such file", s))
			}
			return wrong(err)
		}
	}
	at, cfg, err := a.attach(true)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	for _, p := range cfg.Producers {
		if p.Name == c.Producer && c.TLP == "" {
			level = p.Level
		}
	}
	var failed error
	for _, s := range c.Source {
		p, err := c.producer(s)
		if err != nil {
			return err
		}
		at.Trust(c.Producer, s)
		counts, err := at.Import(a.ctx, c.Producer, level, p, nil)
		fmt.Fprintln(a.out, s+": "+summarize(counts))
		if n := rejected(counts); n > 0 {
			failed = errors.Join(failed, fmt.Errorf("%s: %d dead letters: stixbridge dlq list %s", s, n, c.Producer))
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s, err))
		}
	}
	return failed
}

func (c *importCmd) level() (stix.TLP, error) {
	if !validName(c.Producer) {
		return 0, wrong(fmt.Errorf("--producer %q: want small letters, digits and -, beginning with a letter or digit", c.Producer))
	}
	if c.TLP == "" {
		return stix.Unmarked, nil
	}
	level, err := stix.ParseTLP(c.TLP)
	if err != nil {
		return 0, wrong(fmt.Errorf("--tlp: %w", err))
	}
	return level, nil
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

// producer is the stix plugin over one source.
func (c *importCmd) producer(source string) (bridge.Producer, error) {
	section, err := json.Marshal(map[string]string{"url": source})
	if err != nil {
		return nil, err
	}
	for _, p := range plugins().Producers {
		if p.Kind == "stix" {
			return p.Build(section)
		}
	}
	return nil, errors.New("this build has no stix producer")
}

func rejected(counts map[[2]string]uint64) (n uint64) {
	for k, v := range counts {
		if k[0] == "rejected" {
			n += v
		}
	}
	return n
}

// summarize tells in one line what became of the input.
func summarize(counts map[[2]string]uint64) string {
	sum := map[string]uint64{}
	for k, n := range counts {
		sum[k[0]] += n
	}
	var parts []string
	for _, w := range []struct{ key, word string }{{"create", "new"}, {"update", "changed"}, {"unchanged", "unchanged"}, {"delete", "deleted"}, {"retract", "retracted"}, {"rejected", "dead letters"}} {
		if sum[w.key] > 0 || w.key == "create" {
			parts = append(parts, fmt.Sprintf("%d %s", sum[w.key], w.word))
		}
	}
	return strings.Join(parts, ", ")
}
