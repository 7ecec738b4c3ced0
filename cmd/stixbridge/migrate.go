package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/internal/migrate"
)

type migrateCmd struct {
	To           string `help:"Servers of the cluster, comma separated." placeholder:"URL,…"`
	Context      string `help:"NATS context of the cluster instead, by name." placeholder:"NAME"`
	Replicas     int    `default:"3" help:"Copies of each stream there."`
	Creds        string `help:"Credentials file for the cluster." placeholder:"FILE"`
	NKey         string `name:"nkey" help:"NKey seed file for the cluster." placeholder:"FILE"`
	User         string `help:"User for the cluster." placeholder:"NAME"`
	PasswordFile string `help:"File with the user's password." placeholder:"FILE"`
	TokenFile    string `help:"File with a token for the cluster." placeholder:"FILE"`
	TLSCA        string `name:"tls-ca" help:"PEM file with the authorities to trust." placeholder:"FILE"`
	TLSCert      string `name:"tls-cert" help:"PEM file with the client certificate." placeholder:"FILE"`
	TLSKey       string `name:"tls-key" help:"PEM file with the client key." placeholder:"FILE"`
	VerifyAll    bool   `help:"Compare every message, not 1000 of each stream."`
	JSON         bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (migrateCmd) Help() string {
	return "Example: stixbridge migrate --to nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222 --creds ./stixbridge.creds"
}

func (c *migrateCmd) Run(a *app) error {
	if (c.To == "") == (c.Context == "") {
		return wrong(errors.New("migrate: name the cluster with either --to or --context"))
	}
	for u := range strings.SplitSeq(c.To, ",") {
		if p, err := url.Parse(strings.TrimSpace(u)); err == nil && p.User != nil {
			return wrong(errors.New("migrate: credentials do not belong into --to, others see the command line; use --user with --password-file, or --creds"))
		}
	}
	cfg, err := a.load(true)
	if err != nil {
		return err
	}
	n := cfg.Config.NATS
	if n.URL != "" || n.Context != "" {
		return wrong(errors.New("migrate moves the embedded store, but nats.url or nats.context names an external server already; run it with the old configuration, or raise nats.replicas there and start the bridge"))
	}
	target, err := c.target()
	if err != nil {
		return wrong(err)
	}
	limit := int64(n.MaxBytes)
	if limit == 0 {
		limit = 10 << 30 // the default on an external server
	}
	quiet := a.quiet()
	target.Log = quiet
	r, err := migrate.Move(a.ctx, migrate.Options{Dir: n.Dir, Target: target, MaxBytes: limit, All: c.VerifyAll, Log: quiet,
		Say: func(s string) { fmt.Fprintln(a.errs, s) }})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, r)
	}
	if r.Already {
		fmt.Fprintf(a.out, "the event log of %s was moved to %s before; nothing is left to do\n", n.Dir, r.To)
	} else {
		for _, s := range r.Streams {
			fmt.Fprintf(a.out, "%-28s %d messages, last %d, compared\n", s.Name, s.Messages, s.LastSeq)
		}
		fmt.Fprintf(a.out, "moved to %s; no bridge could run for %v\n", r.To, r.Stopped.Round(100*time.Millisecond))
	}
	fmt.Fprintf(a.out, "\nIn %s write, and start the bridge again:\n\n%s\n", a.config, c.section(cfg))
	return nil
}

// target are the options of the cluster.
func (c *migrateCmd) target() (o broker.Options, err error) {
	o = broker.Options{URL: c.To, Context: c.Context, Creds: c.Creds, NKey: c.NKey, User: c.User, Replicas: c.Replicas}
	for file, into := range map[string]*string{c.PasswordFile: &o.Password, c.TokenFile: &o.Token} {
		if file == "" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return o, err
		}
		*into = strings.TrimSpace(string(b))
	}
	o.TLS, err = httpx.LoadTLS(c.TLSCA, c.TLSCert, c.TLSKey, false)
	return o, err
}

// section is what the configuration has to say from then on.
func (c *migrateCmd) section(cfg *config.Loaded) string {
	n := cfg.Config.NATS
	var b strings.Builder
	b.WriteString("nats:\n")
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %s: %s\n", key, value)
		}
	}
	line("dir", n.Dir)
	line("url", c.To)
	line("context", c.Context)
	line("creds", c.Creds)
	line("nkey", c.NKey)
	line("user", c.User)
	line("password_file", c.PasswordFile)
	line("token_file", c.TokenFile)
	if c.TLSCA+c.TLSCert+c.TLSKey != "" {
		b.WriteString("  tls:\n")
		line("  ca", c.TLSCA)
		line("  cert", c.TLSCert)
		line("  key", c.TLSKey)
	}
	line("replicas", fmt.Sprint(c.Replicas))
	if n.MaxBytes > 0 {
		line("max_bytes", fmt.Sprint(int64(n.MaxBytes)))
	}
	if n.Partitions > 0 {
		line("partitions", fmt.Sprint(n.Partitions))
	}
	return b.String()
}
