// Command stixbridge is an event bridge for cyber threat intelligence: producers publish STIX 2.1 change events to a durable log,
// consumers deliver them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/stixbridge/stixbridge/internal/config"
)

var version = "dev"

// cli is the command line. Exit codes: 0 ok, 1 the operation failed, 2 wrong use or wrong configuration.
type cli struct {
	Config string `short:"c" default:"./stixbridge.yaml" placeholder:"FILE" help:"Configuration (default ./stixbridge.yaml)."`

	Run     runCmd     `cmd:"" help:"Run producers and consumers until SIGTERM."`
	Check   checkCmd   `cmd:"" help:"Print every problem of the configuration."`
	Import  importCmd  `cmd:"" help:"Publish files or URLs once and exit."`
	Tap     tapCmd     `cmd:"" help:"Print events as JSON lines."`
	Replay  replayCmd  `cmd:"" help:"Deliver a span of the log again to one consumer."`
	DLQ     dlqCmd     `cmd:"" name:"dlq" help:"List, show, redrive and drop dead letters."`
	Status  statusCmd  `cmd:"" help:"Show event log, producers and consumers."`
	Pause   pauseCmd   `cmd:"" help:"Stop delivering to a consumer; its position stays."`
	Resume  resumeCmd  `cmd:"" help:"Go on delivering to a paused consumer."`
	Get     getCmd     `cmd:"" help:"Print the latest known form of an object, per producer."`
	Erase   eraseCmd   `cmd:"" help:"Take an object or a producer out of log, latest objects, dead letters and payloads."`
	Migrate migrateCmd `cmd:"" help:"Move the embedded event log to a cluster."`
	Backup  backupCmd  `cmd:"" help:"Write event log, latest objects, positions, cursors, dead letters and payloads into a directory."`
	Restore restoreCmd `cmd:"" help:"Put a backup back into an empty store."`
	Outside outsideCmd `cmd:"" name:"subscriber" help:"Let outside parties receive events by plain NATS, each within a ceiling."`
	Stix    stixCmd    `cmd:"" help:"STIX filters: id, split, validate, pattern, fmt."`
	Schema  schemaCmd  `cmd:"" help:"Print the JSON schema, or the reference, of the configuration."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// app is what every command gets.
type app struct {
	ctx        context.Context
	in         io.Reader
	out, errs  io.Writer
	config     string
	configured bool // -c was given
}

// exit is an error with an exit code. An empty text prints nothing: the command has said what there is to say.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e exit) Unwrap() error { return e.err }

func wrong(err error) error { return exit{2, err} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Main runs one command line and returns its exit code.
func Main(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) (code int) {
	var c cli
	p, err := kong.New(&c, kong.Name("stixbridge"), kong.Description("Event bridge for cyber threat intelligence: STIX 2.1 events in a durable log, delivered to OpenCTI, SIEMs, tickets and files."),
		kong.Writers(out, errs), kong.Exit(func(n int) { panic(exited(n)) }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	defer func() {
		if r := recover(); r != nil {
			n, ok := r.(exited)
			if !ok {
				panic(r)
			}
			code = int(n)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := p.Parse(args)
	if err != nil {
		fmt.Fprintf(errs, "stixbridge: %v; stixbridge --help lists the commands\n", err)
		return 2
	}
	a := &app{ctx: ctx, in: in, out: out, errs: errs, config: c.Config}
	for _, path := range k.Path {
		if path.Flag != nil && path.Flag.Name == "config" {
			a.configured = true
		}
	}
	err = k.Run(a)
	var e exit
	var bad config.Problems
	switch {
	case err == nil:
		return 0
	case errors.As(err, &bad):
		fmt.Fprintln(errs, bad.Error())
		return 2
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintf(errs, "stixbridge: %v\n", e.err)
		}
		return e.code
	default:
		fmt.Fprintf(errs, "stixbridge: %v\n", err)
		return 1
	}
}

type exited int
