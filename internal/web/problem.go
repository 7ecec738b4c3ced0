package web

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// level says how much something matters.
type level string

const (
	good level = "good"
	busy level = "busy" // on its way
	off  level = "off"  // somebody's wish
	note level = "note" // worth knowing
	warn level = "warn" // mends itself, or not yet urgent
	bad  level = "bad"  // needs a person
)

// levelOf maps a health word to its level; a word of a newer runtime is worth knowing.
func levelOf(health string) level {
	switch health {
	case bridge.Healthy, bridge.Idle:
		return good
	case bridge.Starting:
		return busy
	case bridge.Stopped:
		return off
	case bridge.Retrying, bridge.Offline:
		return warn
	case bridge.Refused, bridge.Unhealthy:
		return bad
	}
	return note
}

// problem is one card: what is wrong, since when, what the other side says, what it means, what to do.
type problem struct {
	Level    level
	Name     string // producer or consumer that it is about
	Link     string
	Title    string
	Since    time.Time
	Who      string // who says Says: target or source
	Says     string
	Means    string
	Do       string
	Commands []string
	Also     []string // what the bridge itself says about this name
}

// ID tells the cards apart while the page changes under its reader.
func (p problem) ID() string {
	f := fnv.New32a()
	_, _ = f.Write([]byte(p.Name + "\x00" + p.Title))
	return fmt.Sprintf("problem-%08x", f.Sum32())
}

// problems makes the cards, most urgent first. Nothing that the bridge reported is left out: its own lines go to the card
// of the name they mention, or become cards.
func problems(s snapshot) []problem {
	var out []problem
	if s.Err != nil {
		out = append(out, problem{Level: bad, Title: "The bridge cannot say how it is", Who: "bridge", Says: s.Err.Error(),
			Means: "All numbers below are from the time at the top of the page.", Do: "See its log, and whether the event log's server answers."})
	}
	for _, c := range s.Consumers {
		if p, ok := consumerProblem(c, s.At); ok {
			out = append(out, p)
		}
	}
	for _, p := range s.Producers {
		if p, ok := producerProblem(p); ok {
			out = append(out, p)
		}
		if p, ok := gapProblem(p); ok {
			out = append(out, p)
		}
	}
	if p, ok := deadProblem(s.Status); ok {
		out = append(out, p)
	}
	if n := s.Log.Missing; n > 0 {
		out = append(out, problem{Level: bad, Title: "The event log is damaged",
			Means: count(n, "message is", "messages are") + " missing that no erasure accounts for.",
			Do:    "Do not restart anything that imports. Check the disk, and restore log and positions together from the last backup."})
	}
	for _, line := range slices.Concat(s.Status.Problems, s.Degraded) {
		out = addLine(out, line)
	}
	if len(s.Orphans) > 0 {
		out = append(out, problem{Level: note, Title: "Positions without an owner: " + strings.Join(s.Orphans, ", "),
			Means: "They are kept, but the configuration no longer names them.",
			Do:    "If one was renamed, set was: OLD-NAME at the new name; otherwise it would import or deliver everything again."})
	}
	rank := map[level]int{bad: 0, warn: 1, off: 2, note: 3}
	slices.SortStableFunc(out, func(a, b problem) int { return rank[a.Level] - rank[b.Level] })
	return out
}

func consumerProblem(c bridge.ConsumerStatus, now time.Time) (problem, bool) {
	p := problem{Level: levelOf(c.Health), Name: c.Name, Link: "/consumers/" + c.Name, Since: c.Since, Who: "target", Says: c.Error}
	if c.Role == "enricher" {
		p.Who = "enricher"
	}
	again := ""
	if c.NextTry.After(now) {
		again = " Next try " + until(now, c.NextTry) + "."
	}
	switch c.Health {
	case bridge.Refused:
		p.Title = "The target refuses us"
		p.Do = "Renew its token or permission. The bridge probes and goes on by itself; no restart, no resume." + again
	case bridge.Unhealthy:
		p.Title = "Delivery has stopped"
		p.Do = "Mend what the target complains about, or the configuration; then it goes on by itself." + again
	case bridge.Retrying:
		p.Title = "The target does not take events"
		p.Do = "Look at the target, or wait: the bridge tries until it answers." + again
	case bridge.Offline:
		p.Title = "No running bridge serves this consumer"
		p.Do = "It is configured but nobody runs it. See --only of the running instances."
	case bridge.Stopped:
		p.Title, p.Who, p.Says = "Paused by an operator", "", ""
		p.Do = "Nothing is delivered until somebody resumes it."
		p.Commands = []string{"stixbridge resume " + c.Name}
	default:
		if c.Overtaken <= 0 {
			return p, false
		}
		p.Level, p.Title, p.Since = warn, "Too slow", time.Time{}
		p.Do = "Give the target more capacity, raise concurrency or batch, or narrow the gates."
	}
	if c.Lag > 0 {
		p.Means = count(c.Lag, "event waits", "events wait") + " in the event log, the oldest for " + seconds(c.OldestAge) + ". Nothing is lost."
	}
	if c.Overtaken > 0 {
		p.Level = bad
		p.Means = fmt.Sprintf("%s in the event log. At this pace the log's limits reach the oldest in %s; what they take is lost to this consumer.",
			count(c.Lag, "event waits", "events wait"), seconds(c.Overtaken))
		p.Do += " To win time, raise nats.max_bytes or nats.max_age, or set protect: true so that producers wait."
	}
	return p, true
}

func producerProblem(s bridge.ProducerStatus) (problem, bool) {
	p := problem{Level: levelOf(s.Health), Name: s.Name, Link: "/producers/" + s.Name, Who: "source", Says: s.Error}
	switch s.Health {
	case bridge.Refused:
		p.Title, p.Do = "The source refuses us", "Renew its token or permission; the bridge goes on by itself."
	case bridge.Unhealthy:
		p.Title, p.Do = "The source cannot be read", "Mend what the source complains about, or the configuration."
	case bridge.Retrying:
		p.Title, p.Do = "The source does not answer well", "Look at the source, or wait: the bridge tries until it answers."
	case bridge.Offline:
		p.Title, p.Do = "No running bridge serves this producer", "It is configured but nobody runs it. See --only of the running instances."
	case bridge.Stopped:
		p.Title, p.Do = "Paused by an operator", "Nothing is read until somebody resumes it."
	default:
		return p, false
	}
	if s.Health != bridge.Stopped {
		p.Means = "The cursor stays where it is; reading goes on from there."
	}
	return p, true
}

func gapProblem(s bridge.ProducerStatus) (problem, bool) {
	open := slices.DeleteFunc(slices.Clone(s.Gaps), func(g bridge.GapStatus) bool { return g.Healed })
	if len(open) == 0 {
		return problem{}, false
	}
	g := open[len(open)-1]
	p := problem{Level: bad, Name: s.Name, Link: "/producers/" + s.Name, Title: "The source's history has a gap", Since: g.Time,
		Who: "source", Says: g.Detail, Means: "What happened between " + g.From + " and " + g.To + " can no longer be read.",
		Do: "Set recover so that the state is read again; versions and deletes in between stay unknown."}
	if len(open) > 1 {
		p.Title = fmt.Sprintf("The source's history has %d gaps", len(open))
	}
	return p, true
}

func deadProblem(s bridge.Status) (problem, bool) {
	var total uint64
	var names, commands []string
	add := func(name string, n uint64) {
		if n > 0 {
			total += n
			names = append(names, name+" "+number(n))
			commands = append(commands, "stixbridge dlq list "+name)
		}
	}
	for _, p := range s.Producers {
		add(p.Name, p.Dead)
	}
	for _, c := range s.Consumers {
		add(c.Name, c.Dead)
	}
	if total == 0 {
		return problem{}, false
	}
	return problem{Level: warn, Title: count(total, "dead letter waits", "dead letters wait") + " for a decision",
		Means: "Kept with their reason, by " + strings.Join(names, " · ") + ".",
		Do:    "Read the reasons, mend the cause, then redrive; drop what nobody needs.", Commands: commands}, true
}

// addLine puts a line of the bridge where it belongs.
func addLine(cards []problem, line string) []problem {
	for i := range cards {
		c := &cards[i]
		if c.Name == "" || !mentions(line, c.Name) {
			continue
		}
		if !slices.Contains(c.Also, line) && line != c.Says {
			c.Also = append(c.Also, line)
		}
		return cards
	}
	for _, c := range cards {
		if c.Title == line {
			return cards
		}
	}
	return append(cards, problem{Level: warn, Title: line})
}

// mentions reports whether a line names a producer or consumer, as a whole word.
func mentions(line, name string) bool {
	ok, err := regexp.MatchString(`(^|[^a-zA-Z0-9-])`+regexp.QuoteMeta(name)+`($|[^a-zA-Z0-9-])`, line)
	return err == nil && ok
}
