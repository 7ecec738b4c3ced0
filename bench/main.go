// Command bench compares the bridge with bare clients of the same servers, and prints ratios: absolute figures say more about the
// machine than about the program. Each ratio comes from one run: what is compared takes turns, and medians count.
//
//	go run ./bench                      all sections
//	go run ./bench -only import,file    some of them
//	go run ./bench -corpus objects.jsonl
//	go run ./bench -profile /some/dir   CPU profiles of our side
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	n       int    // objects of the generated corpus
	runs    int    // per side; medians count
	objects int    // of the heap section
	batch   int    // messages in a bare atomic batch
	corpus  string // file to import instead of the generated one
	dir     string // where stores are made
	profile string // directory for CPU profiles of our side
	quiet   bool
}

// section is one comparison.
type section struct {
	name string
	run  func(context.Context, *bench) error
}

var sections = []section{{"import", importing}, {"file", toFile}, {"rabbitmq", toRabbit}, {"heap", heap}}

func main() {
	var o options
	only := flag.String("only", "", "sections to run, with commas: import, file, rabbitmq, heap (all)")
	asJSON := flag.Bool("json", false, "print the results as JSON")
	flag.IntVar(&o.n, "n", 50_000, "objects of the generated corpus")
	flag.IntVar(&o.runs, "runs", 3, "runs of each side; the median counts")
	flag.IntVar(&o.objects, "objects", 200_000, "distinct objects of the heap section")
	flag.IntVar(&o.batch, "batch", 500, "messages in a bare atomic batch")
	flag.StringVar(&o.corpus, "corpus", "", "import this file (bundle or JSON lines of objects) instead of the generated corpus")
	flag.StringVar(&o.dir, "dir", "", "directory for the stores; its disk is what is measured (the system's temporary directory)")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of our side")
	flag.Parse()
	o.quiet = *asJSON
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := run(ctx, o, *only)
	if *asJSON {
		out, _ := json.MarshalIndent(b.results, "", "  ") // numbers and strings only
		fmt.Println(string(out))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only string) (*bench, error) {
	b := &bench{options: o}
	if o.n < 1 || o.runs < 1 || o.objects < 1 || o.batch < 2 || o.batch > 1000 || flag.NArg() > 0 {
		return b, errors.New("wrong use: -n, -runs and -objects are at least 1, -batch is 2 to 1000; see -help")
	}
	names := strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
	for _, n := range names {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == n }) {
			return b, fmt.Errorf("-only %s: no such section; there are import, file, rabbitmq, heap", n)
		}
	}
	tmp, err := os.MkdirTemp(o.dir, "stixbridge-bench-")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(tmp)
	b.tmp = tmp
	defer b.close()
	b.say("%d CPUs, %s; stores in %s; %d runs a side, medians", runtime.NumCPU(), runtime.Version(), filepath.Dir(tmp), o.runs)
	for _, s := range sections {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		if err := s.run(ctx, b); err != nil {
			return b, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return b, nil
}

// bench is one run of the program.
type bench struct {
	options
	tmp        string
	made       *corpus
	full       string // directory of a store with the corpus in it
	results    []result
	host       host
	dirs       int
	connectors int // names of consumers used up
}

// newDir makes the name of a directory that does not exist yet.
func (b *bench) newDir() string {
	b.dirs++
	return filepath.Join(b.tmp, fmt.Sprintf("store-%d", b.dirs))
}

func (b *bench) close() { b.host.close() }

func (b *bench) say(format string, args ...any) {
	if !b.quiet {
		fmt.Printf(format+"\n", args...)
	}
}

// clock measures f, after a collection and with nothing left to write, so that nobody pays for another's garbage and dirty pages.
func clock(f func() error) (sample, error) {
	runtime.GC()
	syscall.Sync()
	before := burnt()
	t := time.Now()
	err := f()
	return sample{wall: time.Since(t), cpu: burnt() - before}, err
}

// burnt is the processor time that this process, the embedded server included, has used.
func burnt() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
