package chaos

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// Tracks run side by side, so that faults of different parts meet; two of one part do not.
const (
	servers = iota // the event log's
	members        // bridges
	others         // targets, the broker, sources
	tracks
)

// fault is one that the lab can make.
type fault struct {
	name   string
	track  int
	least  time.Duration // that it must last to mean something
	inject func(l *lab, s Step) (effect, error)
}

// effect is a fault that is there.
type effect struct {
	victim string
	heal   func() error
	names  []naming // who has to name it while it lasts; one will do, the first is preferred
}

// naming says who names a fault, or why not yet.
type naming func() (by string, err error)

// faults of the lab, by name.
func (l *lab) faults() (all []fault) {
	all = append(all, serverFaults()...)
	all = append(all, bridgeFaults()...)
	all = append(all, targetFaults()...)
	all = append(all, brokerFaults()...)
	all = append(all, sourceFaults()...)
	if l.cluster.nodes[0].disk == "" {
		kept := all[:0]
		for _, f := range all {
			if f.name != diskFull {
				kept = append(kept, f)
			}
		}
		all = kept
	}
	return all
}

// play makes one fault, waits until it has lasted long enough and has been named, and heals it.
func (l *lab) play(f fault, s Step) {
	time.Sleep(s.After) // the moment, not a synchronisation
	e, err := f.inject(l, s)
	if err != nil {
		l.t.Errorf("%s: %v", f.name, err)
		return
	}
	began, least := time.Now(), max(s.Hold, f.least)
	l.say("+ %s: %s", f.name, e.victim)
	r := shown{fault: f.name, victim: e.victim}
	err = errors.New("nobody was asked")
	for r.by == "" && time.Since(began) < patience || time.Since(began) < least {
		for i, name := range e.names {
			if r.by != "" || i > 0 && time.Since(began) < least {
				break
			}
			var by string
			if by, err = name(); err == nil {
				r.by, r.after = by, time.Since(began)
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	if r.by == "" {
		l.t.Errorf("SILENT: %s of %s for %v: nobody names it: %v", f.name, e.victim, time.Since(began).Round(time.Second), err)
	}
	if e.heal != nil {
		if err := e.heal(); err != nil {
			l.t.Errorf("%s: healing: %v", f.name, err)
		}
	}
	r.lasted = time.Since(began)
	l.say("- %s: %s, after %.1fs; named by %s", f.name, e.victim, r.lasted.Seconds(), r.by)
	l.mu.Lock()
	l.record = append(l.record, r)
	l.mu.Unlock()
}

const diskFull = "disk full"

func serverFaults() []fault {
	down := func(n *node, c *cluster) func() error {
		return func() error {
			if err := c.start(n); err != nil {
				return err
			}
			return c.ready(n, patience)
		}
	}
	return []fault{
		{"server killed", servers, 0, func(l *lab, s Step) (effect, error) {
			n := l.cluster.nodes[s.Pick%3]
			n.kill()
			return effect{n.name, down(n, l.cluster), l.missing(n)}, nil
		}},
		{"leader of the log killed", servers, 0, func(l *lab, s Step) (effect, error) {
			n := l.cluster.leader(s.Pick)
			n.kill()
			return effect{n.name, down(n, l.cluster), l.missing(n)}, nil
		}},
		{"server stopped", servers, 6 * time.Second, func(l *lab, s Step) (effect, error) {
			n := l.cluster.nodes[s.Pick%3]
			n.signal(syscall.SIGSTOP)
			return effect{n.name, func() error { n.signal(syscall.SIGCONT); return l.cluster.ready(n, patience) }, l.missing(n)}, nil
		}},
		{"leader of the log cut off from the other servers", servers, 8 * time.Second, func(l *lab, s Step) (effect, error) {
			n := l.cluster.leader(s.Pick)
			heal := l.cluster.cutOff(n.i)
			return effect{n.name, func() error { heal(); return l.cluster.ready(n, patience) }, l.missing(n)}, nil
		}},
		{"all servers killed", servers, 2 * time.Second, func(l *lab, s Step) (effect, error) {
			for _, n := range l.cluster.nodes {
				n.kill()
			}
			return effect{"n0 n1 n2", func() error {
				for _, n := range l.cluster.nodes {
					if err := l.cluster.start(n); err != nil {
						return err
					}
				}
				for _, n := range l.cluster.nodes {
					if err := l.cluster.ready(n, patience); err != nil {
						return err
					}
				}
				return nil
			}, []naming{l.notReady, func() (string, error) { // those that begin just now serve no page until the event log answers
				for _, b := range l.bridges {
					if b.answers() == nil {
						return "", fmt.Errorf("%s says that it is ready", b.name)
					}
				}
				return "/readyz", nil
			}}}, nil
		}},
		{diskFull, servers, 4 * time.Second, func(l *lab, s Step) (effect, error) {
			n := l.cluster.nodes[s.Pick%3]
			from := sizeOf(n.log())
			empty, err := fill(n.disk)
			if err != nil {
				return effect{}, err
			}
			word := regexp.MustCompile(`no space left|out of (resources|space)|insufficient`)
			heal := func() error {
				if err := empty(); err != nil {
					return err
				}
				n.kill() // a server that ran out of disk gives up JetStream until it is started again
				if err := l.cluster.start(n); err != nil {
					return err
				}
				err := l.cluster.ready(n, 15*time.Second)
				if err == nil {
					return nil
				}
				// What it wrote last may be torn, and then it never joins the others again: it has to get all from them.
				l.say("  %s does not come back with its store (%v): without", n.name, err)
				n.kill()
				if err := os.RemoveAll(filepath.Join(n.disk, "store")); err != nil {
					return err
				}
				return down(n, l.cluster)()
			}
			return effect{n.name, heal, append(l.missing(n), func() (string, error) {
				return "log of the NATS server", mentions(n.log(), from, word)
			})}, nil
		}},
	}
}

// missing is who can name a server that is not there: the bridges, else the other servers.
func (l *lab) missing(n *node) []naming {
	from := l.logSizes()
	word := regexp.MustCompile(`\b` + n.name + `\b`)
	return []naming{
		func() (string, error) {
			return "status", l.any(func(st bridge.Status) error {
				if text := strings.Join(st.Problems, "\n"); !word.MatchString(text) {
					return fmt.Errorf("status does not name server %s: %q", n.name, text)
				}
				return nil
			})
		},
		func() (string, error) {
			for i, b := range l.bridges {
				if said(b.log, from[i], word) == nil {
					return "log", nil
				}
			}
			return "NATS monitoring", l.cluster.misses(n)
		},
	}
}

func (l *lab) logSizes() (all []int64) {
	for _, b := range l.bridges {
		all = append(all, sizeOf(b.log))
	}
	return all
}

// notReady is that a bridge that runs says that it cannot work.
func (l *lab) notReady() (string, error) {
	for _, b := range l.bridges {
		_, err := get("http://" + b.http + "/healthz")
		if err != nil && strings.Contains(err.Error(), "503") {
			return "/healthz", nil
		}
	}
	return "", errors.New("every bridge that answers says that all is well")
}

func bridgeFaults() []fault {
	pick := func(l *lab, s Step) *instance { return l.bridges[s.Pick%uint64(len(l.bridges))] }
	silent := func(b *instance) []naming {
		return []naming{func() (string, error) {
			if b.answers() == nil {
				return "", errors.New("it answers")
			}
			return "/readyz", nil
		}}
	}
	stopped := func(l *lab, s Step) (effect, error) {
		b := pick(l, s)
		l.mu.Lock()
		l.pauses++
		l.mu.Unlock()
		b.signal(syscall.SIGSTOP)
		return effect{b.name, func() error { b.signal(syscall.SIGCONT); return nil }, silent(b)}, nil
	}
	return []fault{
		{"bridge killed", members, 0, func(l *lab, s Step) (effect, error) {
			b := pick(l, s)
			b.kill()
			return effect{b.name, b.start, silent(b)}, nil
		}},
		{"bridge stopped for less than its lease", members, 0, stopped},
		{"bridge stopped for longer than its lease", members, 8 * time.Second, stopped},
		{"bridge cut off from the event log", members, 8 * time.Second, func(l *lab, s Step) (effect, error) {
			b := pick(l, s)
			for _, w := range b.ways {
				w.Swallow()
			}
			return effect{b.name, func() error {
				for _, w := range b.ways {
					w.Heal()
				}
				return nil
			}, silent(b)}, nil
		}},
		{"bridge stopped in good order", members, 0, func(l *lab, s Step) (effect, error) {
			b := pick(l, s)
			code, err := b.stop(patience)
			if err == nil && code != 0 {
				l.say("  %s ended with exit code %d after SIGTERM: %s", b.name, code, lastLine(b.log))
			}
			return effect{b.name, b.start, silent(b)}, err
		}},
		{"all bridges killed", members, 0, func(l *lab, s Step) (effect, error) {
			var names []string
			for _, b := range l.bridges {
				b.kill()
				names = append(names, b.name)
			}
			return effect{strings.Join(names, " "), func() (err error) {
				for _, b := range l.bridges {
					err = errors.Join(err, b.start())
				}
				return err
			}, silent(l.bridges[0])}, nil
		}},
	}
}

func targetFaults() (all []fault) {
	for _, f := range []struct {
		mood string
		says string // what status says of it
	}{
		{slow, ""}, {failed, "503"}, {denied, "401"}, {resets, "(?i)reset|EOF|broken pipe"}, {hangs, "no answer within"}, {liar, "no answer within"},
	} {
		all = append(all, fault{"target " + f.mood, others, 0, func(l *lab, s Step) (effect, error) {
			g := []*target{l.exact, l.plain, l.green}[s.Pick%3]
			if f.mood == liar {
				g = l.exact // the others cannot know
			}
			g.set(f.mood)
			return effect{g.name, func() error { g.set(well); return nil }, []naming{l.consumer(g.name, f.says)}}, nil
		}})
	}
	return append(all, fault{"target gone", others, 0, func(l *lab, s Step) (effect, error) {
		g := []*target{l.exact, l.plain, l.green}[s.Pick%3]
		g.close()
		return effect{g.name, g.reopen, []naming{l.consumer(g.name, "(?i)refused|reset|EOF")}}, nil
	}})
}

// consumer is that status names a consumer as troubled, in words that match; without words, as behind by a second.
func (l *lab) consumer(name, says string) naming {
	word := regexp.MustCompile(says)
	return func() (string, error) {
		return "status", l.any(func(st bridge.Status) error {
			for _, k := range st.Consumers {
				if k.Name != name {
					continue
				}
				troubled := k.Health == bridge.Retrying || k.Health == bridge.Refused || k.Health == bridge.Unhealthy
				if says == "" && (k.Lag > 0 && k.OldestAge > 1 || troubled) || says != "" && troubled && word.MatchString(k.Error) {
					return nil
				}
				if why, _ := k.Extra["blocked"].(string); says != "" && word.MatchString(why) && why != "" {
					return nil
				}
				return fmt.Errorf("status says of %s: %s %q, lag %d, oldest %.1fs", name, k.Health, k.Error, k.Lag, k.OldestAge)
			}
			return fmt.Errorf("status does not know %s", name)
		})
	}
}

func brokerFaults() []fault {
	return []fault{
		{"broker raises its memory alarm", others, 3 * time.Second, func(l *lab, s Step) (effect, error) {
			l.rabbit.Ctl(l.t, "set_vm_memory_high_watermark", "absolute", "1")
			heal := func() error {
				l.rabbit.Ctl(l.t, "set_vm_memory_high_watermark", "absolute", "1073741824")
				return nil
			}
			return effect{"RabbitMQ", heal, []naming{l.consumer("platform", "block|alarm|memory|no answer")}}, nil
		}},
		{"broker stopped", others, 5 * time.Second, func(l *lab, s Step) (effect, error) {
			if err := syscall.Kill(l.pid, syscall.SIGSTOP); err != nil {
				return effect{}, err
			}
			return effect{"RabbitMQ", func() error { return syscall.Kill(l.pid, syscall.SIGCONT) }, []naming{l.consumer("platform", "")}}, nil
		}},
		{"broker killed", others, 0, func(l *lab, s Step) (effect, error) {
			l.rabbit.Crash(l.t, l.pid)
			return effect{"RabbitMQ", func() error {
				l.rabbit.Restart(l.t)
				l.pid = l.rabbit.Pid(l.t)
				return l.work()
			}, []naming{l.consumer("platform", "")}}, nil
		}},
		{"queue deleted", others, 0, func(l *lab, s Step) (effect, error) {
			from := l.logSizes()
			if err := l.rabbit.API("DELETE", l.queue(), nil, nil); err != nil {
				return effect{}, err
			}
			word := regexp.MustCompile(`registered at the platform|registering again`)
			return effect{"push_" + l.connector(), l.work, []naming{l.consumer("platform", "queue|set up"), func() (string, error) {
				for i, b := range l.bridges {
					if mentions(b.log, from[i], word) == nil {
						return "log", nil
					}
				}
				return "", errors.New("no log says that the sink has registered again")
			}}}, nil
		}},
	}
}

func (l *lab) queue() string {
	return "/api/queues/" + url.PathEscape(l.rabbit.VHost) + "/push_" + l.connector()
}

// work waits for the platform's queue, which the bridge has to have made anew where it was gone, and starts the platform's worker again.
func (l *lab) work() error {
	if err := poll(patience, func() error { return l.rabbit.API("GET", l.queue(), nil, nil) }); err != nil {
		return err
	}
	l.platform.Worker(l.connector())
	return nil
}

func sourceFaults() []fault {
	producer := func(l *lab, name string) naming {
		return func() (string, error) {
			return "status", l.any(func(st bridge.Status) error {
				for _, p := range st.Producers {
					if p.Name == name && p.Error != "" && (p.Health == bridge.Unhealthy || p.Health == bridge.Retrying || p.Health == bridge.Refused) {
						return nil
					}
				}
				return fmt.Errorf("status says that %s is well", name)
			})
		}
	}
	return []fault{
		{"feed breaks off in the middle", others, 0, func(l *lab, s Step) (effect, error) {
			return effect{"feed", func() error { return l.feed.damage(false) }, []naming{producer(l, "feed")}}, l.feed.damage(true)
		}},
		{"live stream cut", others, 0, func(l *lab, s Step) (effect, error) {
			l.stream.Cut()
			return effect{"octi", func() error { l.stream.Heal(); return nil }, []naming{producer(l, "octi")}}, nil
		}},
	}
}
