// Command demo is what `make demo` runs: a stand-in OpenCTI platform, a SIEM, and the bridge between them as a process of its own.
// On a timetable the SIEM refuses, fails and forgets, processes are killed, and knowledge turns red; at the end a scoreboard
// compares what the platform sent with what the SIEM recorded. Where a Python with pycti is present, OpenCTI's own stream client
// lives through the same beside it, into a SIEM of its own.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"
)

const (
	config    = "deploy/demo/stixbridge.yaml"
	stockName = "stock pycti"
	stockID   = "5d6b7c1e-9f0a-4b7e-8f65-3c1f3a0e7d11" // of the connector, at the platform
)

// options of a run. Paths are relative to the repository, where the demo is started.
type options struct {
	plan
	bridge   string // binary
	python   string // interpreter that has pycti; empty: without the stock lane
	callback string // what the stock lane does when the SIEM refuses: log or raise
	listen   string // of the SIEM
	out      io.Writer
	live     bool // out is a terminal
}

func main() {
	o := options{plan: full, out: os.Stdout, live: term.IsTerminal(int(os.Stdout.Fd()))}
	flags := flag.NewFlagSet("demo", flag.ExitOnError)
	flags.StringVar(&o.bridge, "bridge", "bin/stixbridge", "binary of the bridge")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8330", "address of the SIEM's page")
	flags.StringVar(&o.python, "python", "", "Python with pycti; default: the one of make peers, or python3; none: without")
	flags.StringVar(&o.callback, "callback", "log", "what the stock lane does with an error of the SIEM: log, or raise")
	flags.Uint64Var(&o.seed, "seed", o.seed, "of the changes")
	_ = flags.Parse(os.Args[1:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch o.python {
	case "":
		o.python = python(ctx)
	case "none":
		o.python = ""
	}
	if err := run(ctx, o); err != nil {
		if ctx.Err() != nil {
			stop()
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// python finds an interpreter that has pycti.
func python(ctx context.Context) string {
	for _, path := range []string{".cache/venv/bin/python", "python3"} {
		if exec.CommandContext(ctx, path, "-c", "import pycti").Run() == nil {
			return path
		}
	}
	return ""
}

// demo is a run.
type demo struct {
	options
	begun    time.Time
	bell     *bell
	dir      string
	platform *platform
	ours     *lane
	stock    *lane // nil without Python
	partner  *partner
	url      string // of the SIEM's page
	status   string // of the bridge's
	red      string // id of what turned red

	mu    sync.Mutex
	acts  []act
	board []*score
}

// act is an entry of the timetable that was played.
type act struct {
	At    time.Duration
	Title string
}

// run plays the timetable; the error says why our lanes are not complete.
func run(ctx context.Context, o options) (err error) {
	d := &demo{options: o, begun: time.Now(), bell: newBell()}
	if d.dir, err = os.MkdirTemp("", "stixbridge-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	if err := os.Chmod(d.dir, 0o700); err != nil {
		return err
	}
	h := &host{}
	defer h.end()
	if d.platform, err = newPlatform(h, d.seed, d.held); err != nil {
		return err
	}
	if err := d.open(h); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	screened := d.screen(ctx)
	if err = d.play(ctx); err != nil && d.board == nil {
		d.count() // how far it came
	}
	time.Sleep(2 * look) // the page is to show the end
	cancel()
	for _, l := range d.lanes() {
		l.wait()
	}
	<-screened
	if errors.Is(err, context.Canceled) {
		return err
	}
	d.mu.Lock()
	fmt.Fprintf(o.out, "\n%s\n", text(d.board))
	d.mu.Unlock()
	if err = errors.Join(err, d.verdict()); err != nil {
		err = fmt.Errorf("%w\n%s", err, d.ours.tail())
	}
	return err
}

// open makes the SIEMs, with their page, and the lanes that lead to them.
func (d *demo) open(h *host) error {
	ln, err := net.Listen("tcp", d.listen)
	if err != nil {
		return fmt.Errorf("the SIEM's page: %w; -listen names another address", err)
	}
	d.url = "http://" + ln.Addr().String()
	token := rand.Text()
	ours, stock := newSIEM(d.bell, token), newSIEM(d.bell, token)
	ports, err := free(2)
	if err != nil {
		return err
	}
	d.status = "http://" + ports[1]
	env := []string{
		"DEMO_DIR=" + d.dir, "DEMO_NATS=" + ports[0], "DEMO_HTTP=" + ports[1], "DEMO_STREAM=" + d.platform.Stream, "DEMO_SIEM_TOKEN=" + token,
		"OPENCTI_URL=" + d.platform.URL, "OPENCTI_TOKEN=" + d.platform.Token, "OPENCTI_READER_TOKEN=" + d.platform.Reader,
	}
	d.ours = newLane("stixbridge", d.dir, ours, append(env[:len(env):len(env)], "DEMO_SIEM="+d.url+"/siem/stixbridge"), d.bridge, "run", "-c", config)
	d.partner = &partner{bell: d.bell, heard: map[change]int{}}
	if d.python != "" {
		d.stock = newLane(stockName, d.dir, stock, append(env[:len(env):len(env)], "DEMO_SIEM="+d.url+"/siem/stock", "CALLBACK="+d.callback,
			"CONNECTOR_ID="+stockID, "CONNECTOR_TYPE=STREAM", "CONNECTOR_NAME=SIEM", "CONNECTOR_SCOPE=indicator", "CONNECTOR_LOG_LEVEL=error",
			"CONNECTOR_LIVE_STREAM_ID="+d.platform.Stream, "CONNECTOR_LIVE_STREAM_LISTEN_DELETE=true", "CONNECTOR_LIVE_STREAM_NO_DEPENDENCIES=true",
		), d.python, "deploy/demo/stock.py")
	}
	mux := http.NewServeMux()
	mux.Handle("/siem/stixbridge", ours)
	mux.Handle("/siem/stock", stock)
	mux.HandleFunc("GET /{$}", d.page)
	mux.HandleFunc("GET /live", d.stream)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }()
	h.Cleanup(func() { _ = server.Close() })
	return nil
}

// lanes are those that run, the stock one first.
func (d *demo) lanes() []*lane {
	if d.stock == nil {
		return []*lane{d.ours}
	}
	return []*lane{d.stock, d.ours}
}

// free finds addresses on loopback that nobody listens on.
func free(n int) (all []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // all at once at the end: no port twice
		all = append(all, ln.Addr().String())
	}
	return all, nil
}

// host is what the stand-in platform runs in.
type host struct{ ends []func() }

func (h *host) Helper()                   {}
func (h *host) Cleanup(f func())          { h.ends = append(h.ends, f) }
func (h *host) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (h *host) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func (h *host) end() {
	for i := len(h.ends) - 1; i >= 0; i-- {
		h.ends[i]()
	}
}
