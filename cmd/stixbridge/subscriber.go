package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/subscriber"
	"github.com/stixbridge/stixbridge/stix"
)

type outsideCmd struct {
	Add    subscriberAddCmd    `cmd:"" help:"Let an outside party receive events within a ceiling."`
	List   subscriberListCmd   `cmd:"" help:"List subscribers and how far they are."`
	Rotate subscriberRotateCmd `cmd:"" help:"Give a subscriber a new password; connections with the old one end."`
	Remove subscriberRemoveCmd `cmd:"" help:"End a subscriber: its account and its position."`
	Config subscriberConfigCmd `cmd:"" help:"Print the accounts for the configuration of an external server."`
}

type subscriberAddCmd struct {
	Name        string   `arg:"" help:"Name: small letters, digits and -."`
	MaxTLP      string   `name:"max-tlp" default:"green" help:"Ceiling (default green). Unmarked counts as amber." placeholder:"TLP"`
	Type        []string `help:"Only this STIX type (repeatable)." placeholder:"TYPE"`
	Producer    []string `help:"Only this producer (repeatable)." placeholder:"NAME"`
	Start       string   `default:"all" help:"Where it begins: all (that the log holds), new, or a time." placeholder:"WHERE"`
	URL         string   `name:"url" help:"Address under which the subscriber reaches the server." placeholder:"URL"`
	Credentials string   `help:"File to write its credentials to (default ./NAME.json)." placeholder:"FILE"`

	MaxPending       int   `default:"256" help:"Events that it may have unacknowledged (default 256)." placeholder:"N"`
	MaxWaiting       int   `default:"16" help:"Pull requests that it may have open (default 16)." placeholder:"N"`
	MaxConnections   int64 `default:"8" help:"Connections (default 8)." placeholder:"N"`
	MaxPayload       int64 `default:"4096" help:"Bytes of a message that it may send (default 4096)." placeholder:"BYTES"`
	MaxSubscriptions int64 `default:"64" help:"Subscriptions of one connection (default 64)." placeholder:"N"`

	JSON bool `help:"Print JSON."`
}

// Help shows an example.
func (subscriberAddCmd) Help() string {
	return "Example: stixbridge subscriber add acme --max-tlp green --type indicator --url nats://bridge.example.org:4222"
}

func (c *subscriberAddCmd) record() (s subscriber.Subscriber, start subscriber.Start, err error) {
	s = subscriber.Subscriber{Name: c.Name, Types: c.Type, Producers: c.Producer, By: who(), Limits: subscriber.Limits{
		AckPending: c.MaxPending, Waiting: c.MaxWaiting, Connections: c.MaxConnections, Payload: c.MaxPayload, Subscriptions: c.MaxSubscriptions}}
	if s.MaxTLP, err = stix.ParseTLP(c.MaxTLP); err != nil {
		return s, start, fmt.Errorf("--max-tlp: %w", err)
	}
	if start, err = subscriber.ParseStart(c.Start); err != nil {
		return s, start, fmt.Errorf("--start: %w", err)
	}
	return s, start, s.Check()
}

func (c *subscriberAddCmd) Run(a *app) error {
	s, start, err := c.record()
	if err != nil {
		return wrong(fmt.Errorf("subscriber add: %w", err))
	}
	at, cfg, err := a.attach(true)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	if taken(cfg, s.Name) {
		return wrong(fmt.Errorf("subscriber add: %s has a section of that name; choose another one", cfg.File))
	}
	for _, p := range c.unknown(a.ctx, at, cfg) {
		fmt.Fprintf(a.errs, "stixbridge: no producer %s is configured or in the log; the subscriber receives its events when there are any\n", p)
	}
	file := c.Credentials
	if file == "" {
		file = "./" + s.Name + ".json"
	}
	f, err := subscriber.Create(file)
	if err != nil {
		return wrong(fmt.Errorf("subscriber add: %w", err))
	}
	pass, err := subscriber.Add(a.ctx, at.Store(), s, start)
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(file))
	}
	cred := s.Credentials(address(c.URL, at, cfg), pass)
	if err := cred.Write(f); err != nil {
		return errors.Join(fmt.Errorf("credentials: %w; the subscriber is removed again", err), subscriber.Remove(a.ctx, at.Store(), s.Name))
	}
	if err := admitted(a.ctx, at, cfg, s.Name, cred); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, struct {
			subscriber.Subscriber
			Hash        string   `json:"hash,omitempty"`
			URL         string   `json:"url"`
			User        string   `json:"user"`
			Filters     []string `json:"filters"`
			Credentials string   `json:"credentials"`
		}{Subscriber: s, URL: cred.URL, User: cred.User, Filters: s.Filters(), Credentials: file})
	}
	fmt.Fprintf(a.out, "%s may receive up to TLP %s. Its credentials are in %s: hand them over by a safe way, they are kept nowhere else.\n", s.Name, s.MaxTLP, file)
	told(a, at, cfg, s.Name, file, cred)
	return nil
}

// unknown lists the producers that nobody knows.
func (c *subscriberAddCmd) unknown(ctx context.Context, at *engine.Attached, cfg *config.Loaded) (names []string) {
	logged, err := at.Store().Log.Producers(ctx)
	if err != nil {
		return nil
	}
	for _, p := range c.Producer {
		if !taken(cfg, p) && !slices.Contains(logged, p) {
			names = append(names, p)
		}
	}
	return names
}

func taken(cfg *config.Loaded, name string) bool {
	for _, p := range cfg.Producers {
		if p.Name == name {
			return true
		}
	}
	return slices.ContainsFunc(cfg.Consumers, func(k config.Consumer) bool { return k.Name == name })
}

func external(cfg *config.Loaded) bool {
	return cfg.Config.NATS.URL != "" || cfg.Config.NATS.Context != ""
}

// address is where a subscriber reaches the server, as far as we know.
func address(given string, at *engine.Attached, cfg *config.Loaded) string {
	switch {
	case given != "":
		return given
	case external(cfg) || at.Running:
		return at.Broker().URL()
	default: // the store is open for this command only, on a port of its own
		return "nats://" + cfg.Config.NATS.Listen
	}
}

// admitted waits until a running bridge lets the subscriber in.
func admitted(ctx context.Context, at *engine.Attached, cfg *config.Loaded, name string, cred subscriber.Credentials) error {
	if external(cfg) || !at.Running {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for err := error(nil); ; {
		select { // before the first try too: who comes early is an intruder in the bridge's log
		case <-ctx.Done():
			return fmt.Errorf("%s is recorded, but the running bridge does not let it in: %w; look into its log", name, err)
		case <-time.After(200 * time.Millisecond):
		}
		if err = enter(ctx, at.Broker().URL(), name, cred); err == nil {
			return nil
		}
	}
}

// enter logs in as the subscriber does and looks at its position.
func enter(ctx context.Context, url, name string, cred subscriber.Credentials) error {
	nc, err := nats.Connect(url, nats.UserInfo(cred.User, cred.Password), nats.NoReconnect(), nats.Timeout(5*time.Second), nats.Name("stixbridge/subscriber-add"),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.NewWithAPIPrefix(nc, cred.APIPrefix)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err = js.Consumer(ctx, eventlog.StreamEvents, name)
	return err
}

// told says what is left to do.
func told(a *app, at *engine.Attached, cfg *config.Loaded, name, file string, cred subscriber.Credentials) {
	if external(cfg) {
		fmt.Fprintln(a.out, "The server is external: write its accounts anew and reload it, then the subscriber can log in:")
		fmt.Fprintln(a.out, "  stixbridge subscriber config > subscribers.conf")
	} else {
		if !at.Running {
			fmt.Fprintln(a.out, "No bridge is running here; the subscriber is let in from the next start on.")
		}
		if host, _, err := net.SplitHostPort(strings.TrimPrefix(cred.URL, "nats://")); err == nil && (host == "127.0.0.1" || host == "localhost" || host == "::1") {
			fmt.Fprintf(a.out, "The server listens on this machine only (%s); for others set nats.listen, and name the address with --url.\n", cred.URL)
		}
	}
	fmt.Fprintf(a.out, "receive       nats --context %s consumer next STIX %s --count 10 --ack\n", full(file), name)
}

// full is the path of a file from the root: the nats command line takes another one for a name.
func full(file string) string {
	if path, err := filepath.Abs(file); err == nil {
		return path
	}
	return file
}

type subscriberListCmd struct {
	JSON bool `help:"Print JSON."`
}

// Help shows an example.
func (subscriberListCmd) Help() string { return "Example: stixbridge subscriber list" }

func (c *subscriberListCmd) Run(a *app) error {
	at, _, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	all, err := subscriber.States(a.ctx, at.Store())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, append([]subscriber.State{}, all...))
	}
	if len(all) == 0 {
		fmt.Fprintln(a.out, "no subscribers")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SUBSCRIBER\tHEALTH\tMAX TLP\tPRODUCERS\tTYPES\tPOSITION\tLAG\tOLDEST\tUNACKED\tLAST ACTIVE\tERROR")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%d\t%s\t%s\n", s.Name, s.Health, s.MaxTLP, several(s.Producers), several(s.Types), s.Position, s.Lag, age(s.OldestAge), s.Unacked, stamp(s.LastActive), short(s.Error, 80))
	}
	return w.Flush()
}

func several(names []string) string {
	if len(names) == 0 {
		return "all"
	}
	return strings.Join(names, ",")
}

type subscriberRotateCmd struct {
	Name        string `arg:"" help:"Name of the subscriber."`
	URL         string `name:"url" help:"Address under which the subscriber reaches the server." placeholder:"URL"`
	Credentials string `help:"File to write its new credentials to (default ./NAME.json); one that exists is replaced." placeholder:"FILE"`
}

// Help shows an example.
func (subscriberRotateCmd) Help() string { return "Example: stixbridge subscriber rotate acme" }

func (c *subscriberRotateCmd) Run(a *app) error {
	at, cfg, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	file := c.Credentials
	if file == "" {
		file = "./" + c.Name + ".json"
	}
	s, pass, err := subscriber.Rotate(a.ctx, at.Store(), c.Name)
	if errors.Is(err, subscriber.ErrUnknown) {
		return wrong(err)
	}
	if err != nil {
		return err
	}
	cred := s.Credentials(address(c.URL, at, cfg), pass)
	if err := cred.Replace(file); err != nil {
		return fmt.Errorf("credentials: %w; the old password is no longer valid: rotate again", err)
	}
	if err := admitted(a.ctx, at, cfg, s.Name, cred); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s has a new password, in %s; the old one is no longer valid, its position stays.\n", s.Name, file)
	if external(cfg) {
		fmt.Fprintln(a.out, "The server is external: `stixbridge subscriber config > subscribers.conf`, then reload it.")
	}
	return nil
}

type subscriberRemoveCmd struct {
	Name string `arg:"" help:"Name of the subscriber."`
}

// Help shows an example.
func (subscriberRemoveCmd) Help() string { return "Example: stixbridge subscriber remove acme" }

func (c *subscriberRemoveCmd) Run(a *app) error {
	at, cfg, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	err = subscriber.Remove(a.ctx, at.Store(), c.Name)
	if errors.Is(err, subscriber.ErrUnknown) {
		return wrong(err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s is removed: no login, no position. What it has received it still has.\n", c.Name)
	if external(cfg) {
		fmt.Fprintln(a.out, "The server is external: `stixbridge subscriber config > subscribers.conf`, then reload it.")
	}
	return nil
}

type subscriberConfigCmd struct {
	Account string `help:"Account that the bridge logs in to (default: the server is asked)." placeholder:"NAME"`
}

// Help shows an example.
func (subscriberConfigCmd) Help() string {
	return "Example: stixbridge subscriber config > /etc/nats/subscribers.conf && nats-server --signal reload"
}

func (c *subscriberConfigCmd) Run(a *app) error {
	at, cfg, err := a.attach(false)
	if err != nil {
		return err
	}
	defer func() { _ = at.Detach() }()
	if !external(cfg) {
		return wrong(errors.New("subscriber config: the embedded server makes the accounts itself; this is for nats.url"))
	}
	home := c.Account
	if home == "" {
		if home, err = subscriber.HomeAccount(a.ctx, at.Broker().Conn()); err != nil {
			return fmt.Errorf("%w; name it with --account", err)
		}
	}
	if strings.HasPrefix(home, "$") {
		return fmt.Errorf("the bridge logs in to the server's account %s, which cannot share anything with others; give it an account of its own in nats-server.conf (docs/subscribe.md) before its first run", home)
	}
	all, err := subscriber.List(a.ctx, at.Store().State)
	if err != nil {
		return err
	}
	fmt.Fprint(a.out, subscriber.ServerConfig(home, all))
	return nil
}
