package config

import (
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
)

// checkTop checks nats, http and opencti.
func (l *loader) checkTop() {
	l.checkNATS(l.out.Config.NATS)
	l.checkHTTP(l.out.Config.HTTP)
	l.checkTLS("nats", l.out.Config.NATS.TLS)
	l.checkTLS("opencti", l.out.Config.OpenCTI.TLS)
	if platform := l.out.Config.OpenCTI.URL; platform != "" {
		if u, err := url.Parse(platform); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			at, p := l.topPlace("opencti", "url")
			l.report.errorf(at, p, "%s is no address of a platform; write https://host, or http://host:8080", l.show("opencti", "url", platform))
		}
	}
	a, b := l.out.Config.HTTP.Listen, l.out.Config.NATS.Listen
	if a == b && !strings.HasSuffix(a, ":0") && !l.external {
		at, p := l.topPlace("http", "listen")
		l.report.errorf(at, p, "nats.listen has the same address %s; choose another port for one of them", quoted(a))
	}
	if len(l.names) > 0 && len(l.sources()) == 0 {
		at := l.root.keyAt(path{}.key("consumers"))
		l.report.warnf(at, "consumers", "can never match: there is no producer, only the command import brings events; add a section under producers")
	}
}

// topPlace is placeOf for keys outside of sections.
func (l *loader) topPlace(names ...string) (position, string) {
	var p path
	for _, name := range names {
		p = p.key(name)
	}
	at := l.root.keyAt(p)
	if v, ok := l.root.find(p); ok {
		at = v.at
	}
	return at, p.String()
}

func (l *loader) checkNATS(c bridge.NATSConfig) {
	n := l.root.get("nats")
	has := func(key string) bool { return n.get(key) != nil }
	at := func(key string) (position, string) { return l.topPlace("nats", key) }
	if c.URL != "" && c.Context != "" {
		pos, p := at("context")
		l.report.errorf(pos, p, "nats.url is set too; a context brings its own address, keep one of them")
	}
	if l.external {
		if has("listen") {
			pos, p := at("listen")
			l.report.errorf(pos, p, "belongs to the embedded server, but nats.url or nats.context names an external one; remove one of them")
		}
	} else {
		for _, key := range []string{"creds", "nkey", "user", "password", "token", "tls"} {
			if has(key) {
				pos, p := at(key)
				l.report.errorf(pos, p, "is for an external server, but the embedded one is used (it makes its own credentials); add nats.url, or remove the key")
			}
		}
		if c.Replicas > 1 {
			pos, p := at("replicas")
			l.report.errorf(pos, p, "the embedded server keeps one copy; write 1, or name a cluster with nats.url")
		}
		l.checkListen("nats", c.Listen)
	}
	var ways []string
	for _, way := range []struct {
		name string
		set  bool
	}{{"creds", c.Creds != ""}, {"nkey", c.NKey != ""}, {"user", c.User != ""}, {"token", c.Token != ""}} {
		if way.set {
			ways = append(ways, way.name)
		}
	}
	if len(ways) > 1 && l.external {
		pos, p := at(ways[1])
		l.report.errorf(pos, p, "%s is set too; keep one way to log in", ways[0])
	}
	if l.external && c.Password != "" && c.User == "" {
		pos, p := at("password")
		l.report.errorf(pos, p, "there is no nats.user; add it")
	}
	for part := range strings.SplitSeq(c.URL, ",") {
		if c.URL == "" {
			break
		}
		if !natsAddress(strings.TrimSpace(part)) {
			pos, p := at("url")
			l.report.errorf(pos, p, "%s is no address of a NATS server; write nats://host:4222 (also tls://, ws://, wss://), several with commas", l.show("nats", "url", part))
		}
	}
	for key, file := range map[string]string{"creds": c.Creds, "nkey": c.NKey} {
		l.checkFile(file, "nats", key)
	}
}

// show quotes a part of a value unless the value came out of a variable.
func (l *loader) show(section, key, part string) string {
	if v := l.root.get(section).get(key); v == nil || v.loose {
		return "the value"
	}
	return quoted(part)
}

func natsAddress(s string) bool {
	if s == "" {
		return false
	}
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return false
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
		return true
	}
	return false
}

func (l *loader) checkHTTP(c bridge.HTTPConfig) {
	if c.Listen == "off" {
		return
	}
	host, ok := l.checkListen("http", c.Listen)
	if !ok || loopback(host) || l.hadTokens {
		return
	}
	at, p := l.topPlace("http", "listen")
	l.report.errorf(at, p, "%s can be reached from other machines, and http.tokens is missing; set http.tokens.viewer and http.tokens.operator, or listen on 127.0.0.1", l.show("http", "listen", c.Listen))
}

// checkListen checks host:port and returns the host.
func (l *loader) checkListen(section, address string) (host string, ok bool) {
	at, p := l.topPlace(section, "listen")
	host, port, err := net.SplitHostPort(address)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 0 || n > 65535 {
		off := ""
		if section == "http" {
			off = ", or off"
		}
		l.report.errorf(at, p, "%s is no address to listen on; write host:port such as 127.0.0.1:8321, port 0 for any free one%s", l.show(section, "listen", address), off)
		return "", false
	}
	if section == "nats" && !loopback(host) {
		l.report.warnf(at, p, "other machines can reach the event log, and its credentials would travel without TLS; listen on 127.0.0.1, or run a NATS cluster with TLS")
	}
	return host, true
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (l *loader) checkTLS(section string, t bridge.TLS) {
	l.checkFile(t.CA, section, "tls", "ca")
	l.checkFile(t.Cert, section, "tls", "cert")
	l.checkFile(t.Key, section, "tls", "key")
	if (t.Cert == "") != (t.Key == "") {
		have, lack := "cert", "key"
		if t.Cert == "" {
			have, lack = lack, have
		}
		at, p := l.topPlace(section, "tls", have)
		l.report.errorf(at, p, "tls.%s is missing; a client certificate needs both", lack)
	}
}

// checkFile reports a file that is named but cannot be opened.
func (l *loader) checkFile(name string, place ...string) {
	if name == "" {
		return
	}
	if info, err := os.Stat(name); err != nil || info.IsDir() {
		at, p := l.topPlace(place...)
		if err == nil {
			l.report.errorf(at, p, "%s is a directory; name the file in it", quoted(name))
			return
		}
		l.report.errorf(at, p, "%v; give the path of a readable file", plainError(err))
	}
}
