// Command bench compares the bridge with bare clients of the same servers, and prints ratios: absolute figures say more about the
// machine than about the program. Each ratio comes from one run: what is compared takes turns, and medians count.
//
//	go run ./bench                      the short sections: import, file, rabbitmq, heap
//	go run ./bench -all                 all sections, five runs a side, a table at the end: a quarter of an hour on a quiet machine
//	go run ./bench -only live,webhook   some of them
//	go run ./bench -corpus objects.jsonl
//	go run ./bench -profile /some/dir   CPU profiles of our side, of the sections that run it in this process
//
// The sections live, latency, webhook and members run the bridge as a process of its own, against a stand-in for the platform and the target,
// beside OpenCTI's own client where there is one.
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
	live    int    // events of a live stream
	runs    int    // per side; medians count
	objects int    // of the heap section
	many    int    // objects of the section million
	batch   int    // messages in a bare atomic batch
	corpus  string // file to import instead of the generated one
	dir     string // where stores are made
	program string // binary of the bridge
	feeds   string // directory of the script that makes a corpus of real feeds
	profile string // directory for CPU profiles of our side
	quiet   bool
}

// section is one comparison.
type section struct {
	name string
	run  func(context.Context, *bench) error
}

var sections = []section{
	{"live", streams}, {"latency", latency}, {"webhook", toHTTP}, {"members", members}, {"import", importing}, {"file", toFile}, {"sinks", toIdle},
	{"rabbitmq", toRabbit}, {"heap", heap}, {"million", million}, {"growth", growth}, {"gates", gates},
}

// short are the sections of a run without -all and -only.
var short = []string{"import", "file", "rabbitmq", "heap"}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "stand-in" {
		if err := standIn(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench stand-in:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	only := flag.String("only", "", "sections to run, with commas: "+listed(sections))
	all := flag.Bool("all", false, "run all sections and print a table")
	page := flag.String("page", "", "put the table into this file, between its marks")
	asTable := flag.Bool("table", false, "print a table at the end")
	asJSON := flag.Bool("json", false, "print the results as JSON")
	flag.IntVar(&o.n, "n", 50_000, "objects of the generated corpus")
	flag.IntVar(&o.live, "live", 50_000, "events of a live stream")
	flag.IntVar(&o.runs, "runs", enoughRuns, "runs of each side; the median counts")
	flag.IntVar(&o.objects, "objects", 200_000, "distinct objects of the heap section")
	flag.IntVar(&o.many, "many", 1_000_000, "distinct objects of the section million")
	flag.IntVar(&o.batch, "batch", 500, "messages in a bare atomic batch")
	flag.StringVar(&o.corpus, "corpus", "", "import this file (bundle or JSON lines of objects) instead of the generated corpus")
	flag.StringVar(&o.feeds, "feeds", "../shared/data", "directory of make-corpus.py, which makes a corpus of real feeds for the import; without it, one of the same mix is generated")
	flag.StringVar(&o.program, "program", "", "the bridge's binary, for the sections that run it as a process (built from this tree)")
	flag.StringVar(&o.dir, "dir", "", "directory for the stores; its disk is what is measured (the system's temporary directory)")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of our side")
	flag.Parse()
	o.quiet = *asJSON
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	names := strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })
	if *all {
		names = strings.Split(listed(sections), ", ")
	} else if len(names) == 0 {
		names = short
	}
	b, err := run(ctx, o, names)
	if (*all || *asTable) && !o.quiet {
		fmt.Print("\n" + b.table())
	}
	if *page != "" {
		err = errors.Join(err, b.page(*page))
	}
	if *asJSON {
		out, _ := json.MarshalIndent(b.results, "", "  ") // numbers and strings only
		fmt.Println(string(out))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func listed(all []section) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.name
	}
	return strings.Join(names, ", ")
}

func run(ctx context.Context, o options, names []string) (*bench, error) {
	b := &bench{options: o, binary: o.program}
	if o.n < 1 || o.runs < 1 || o.objects < 1 || o.many < 1 || o.live < 1 || o.batch < 2 || o.batch > 1000 || flag.NArg() > 0 {
		return b, errors.New("wrong use: -n, -live, -runs, -objects and -many are at least 1, -batch is 2 to 1000; see -help")
	}
	for _, n := range names {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == n }) {
			return b, fmt.Errorf("-only %s: no such section; there are %s", n, listed(sections))
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
	var failed error
	for _, s := range sections {
		if !slices.Contains(names, s.name) {
			continue
		}
		begun := time.Now()
		if err := s.run(ctx, b); err != nil { // the others are worth having
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			b.say("section %s failed: %v", s.name, err)
		}
		b.say("section %s took %v", s.name, time.Since(begun).Round(time.Second))
		if ctx.Err() != nil {
			break
		}
	}
	return b, failed
}

// bench is one run of the program.
type bench struct {
	options
	tmp        string
	binary     string // of the bridge
	made       *corpus
	mix        *corpus
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
	settle()
	before := burnt()
	t := time.Now()
	err := f()
	return sample{wall: time.Since(t), cpu: burnt() - before}, err
}

// settle collects and leaves nothing to write.
func settle() {
	runtime.GC()
	syscall.Sync()
}

// burnt is the processor time that this process, the embedded server included, has used.
func burnt() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
