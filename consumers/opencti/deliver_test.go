package opencti

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rabbitmq/amqp091-go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/amqp"
	"github.com/stixbridge/stixbridge/stix"
)

// content is the object of a message.
func content(t *testing.T, d amqp091.Delivery) map[string]any {
	t.Helper()
	var b struct{ Content string }
	if err := json.Unmarshal(d.Body, &b); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(b.Content)
	if err != nil {
		t.Fatal(err)
	}
	return asMap(t, raw)["objects"].([]any)[0].(map[string]any)
}

func TestABatchOfManyChunksIsSentOnceAndInOrderOfReference(t *testing.T) {
	g := amqpRig(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var objs []stix.Object
	for n := range 300 {
		objs = append(objs, malware(t, n))
	}
	for n := range 700 {
		objs = append(objs, relationship(t, n, objs[rng.IntN(300)], objs[rng.IntN(300)], fmt.Sprintf(`,"created_by_ref":%q`, nid("identity", 1))))
	}
	objs = append(objs, identity(t, 1))
	rng.Shuffle(len(objs), func(i, j int) { objs[i], objs[j] = objs[j], objs[i] })
	g.asserts("feed", objs...)
	g.deliver(g.creates(objs...)...)
	at := map[string]int{}
	for i, d := range g.queued() {
		o := content(t, d)
		id := o["id"].(string)
		if _, twice := at[id]; twice {
			t.Errorf("%s was sent twice", id)
		}
		at[id] = i
		for _, ref := range []string{"source_ref", "target_ref", "created_by_ref"} {
			if to, ok := o[ref].(string); ok {
				if _, before := at[to]; !before {
					t.Errorf("%s came before %s, which it refers to", id, to)
				}
			}
		}
	}
	if len(at) != len(objs) {
		t.Errorf("%d objects of %d", len(at), len(objs))
	}
	if calls := len(g.p.Calls("workEdit.addExpectations", "addExpectations")); calls < 1 || calls > 6 {
		t.Errorf("%d announcements of one batch", calls)
	}
}

func TestWhatRefersToAnObjectThatDidNotArriveIsSentAgain(t *testing.T) {
	g := apiRig(t)
	m, author, other := malware(t, 1), identity(t, 2), malware(t, 3)
	hit := indicator(t, 4, fmt.Sprintf(`,"created_by_ref":%q`, author.ID()))
	batch := g.creates(m, hit, relationship(t, 5, hit, m, ""), relationship(t, 6, hit, other, ""), other)
	down := errors.New("connection lost")
	for _, c := range []struct {
		name string
		errs map[string]error // by object
		want string           // kinds of errors of the events
		left string           // of what went along
	}{
		{"all arrive", nil, "none none none none none", ""},
		{"an object of the batch", map[string]error{m.ID(): down}, "plain none plain none none", ""},
		{"one that went along: all that need it, however far", map[string]error{author.ID(): down}, "none plain plain plain none", author.ID()},
		{"one that is too large for ever: the others go without it", map[string]error{m.ID(): &amqp.TooLargeError{Size: 2, Limit: 1}}, "permanent none none none none", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.s.memory.clear()
			call := &call{s: g.s, ses: &session{}, batch: batch}
			cards, err := g.s.read(t.Context(), batch, &call.failed)
			if err != nil {
				t.Fatal(err)
			}
			along := &card{event: -1, outward: outward{object: author}}
			errs := map[int]error{}
			var sent []piece
			for i, o := range []*card{along, cards[0], cards[4], cards[1], cards[2], cards[3]} {
				sent = append(sent, piece{card: o, id: o.object.ID(), work: &work{notes: map[string]bridge.Event{}}})
				if err := c.errs[o.object.ID()]; err != nil {
					errs[i] = err
				}
			}
			call.settle(sent, errs)
			var got []string
			for i := range batch {
				got = append(got, kind(call.failed.Failed[i]))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("events: %s, want %s", s, c.want)
			}
			if (call.lost != nil) != (c.left != "") {
				t.Errorf("lost: %v", call.lost)
			}
			for id := range c.errs {
				if g.s.memory.has(id) {
					t.Errorf("%s is taken for sent", id)
				}
			}
		})
	}
}

func TestWhatACallThatWasCutOffLeftBehindIsNotTheLastWord(t *testing.T) {
	g := amqpRig(t)
	old := indicator(t, 1, "")
	g.asserts("feed", old)
	ctx, cancel := context.WithCancel(t.Context())
	unblock := g.rabbit.Block(t)
	done := make(chan error, 1)
	go func() { done <- g.s.Deliver(ctx, g.creates(old)) }()
	g.p.Await("the message is with the connection", func() bool {
		g.s.mu.Lock()
		defer g.s.mu.Unlock()
		return g.s.queue.since > 0
	})
	cancel() // as of a member that lost its share while it was asleep
	if err := <-done; err == nil {
		t.Fatal("delivered to a broker that blocks")
	}
	g.asserts("feed", indicator(t, 1, `,"description":"new"`)) // another member has sent it since
	unblock()
	var last map[string]any
	g.p.Await("the newest version is the last on the queue", func() bool {
		for _, d := range g.queued() {
			last = content(t, d)
		}
		return last["description"] == "new"
	})
}

func TestWhatAnotherCallHasHandedOverIsWaitedForAndNotSentTwice(t *testing.T) {
	g := amqpRig(t)
	m, hit := malware(t, 1), indicator(t, 2, "")
	g.asserts("feed", m, hit)
	for _, c := range []struct {
		name string
		sure bool
		want string
	}{
		{"it arrived", true, "none"},
		{"it had to be sent again, and may come last", false, "plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.s.memory.clear()
			other := g.s.memory.book(0, []string{m.ID()})
			done := make(chan error, 1)
			go func() { done <- g.s.Deliver(t.Context(), g.creates(relationship(t, 3, hit, m, ""))) }()
			g.s.memory.board(other, []string{m.ID()}) // it hands over what it has booked
			g.s.memory.depart(other)
			var got []string
			g.p.Await("what is not on the other flight is on the queue", func() bool {
				for _, d := range g.queued() {
					got = append(got, content(t, d)["id"].(string))
				}
				return len(got) == 2
			})
			select {
			case err := <-done:
				t.Errorf("the other call was not waited for: %v", err)
			default:
			}
			g.s.memory.land(other, c.sure)
			if err := <-done; kind(err) != c.want && kind(err) != "batch: "+c.want {
				t.Errorf("%s: %v", kind(err), err)
			}
			if d := cmp.Diff([]string{hit.ID(), nid("relationship", 3)}, got); d != "" {
				t.Error(d)
			}
			if g.s.memory.has(hit.ID()) != true || len(g.s.memory.flying) != 0 {
				t.Errorf("memory: %v, %v", g.s.memory.young, g.s.memory.flying)
			}
		})
	}
}

func TestWhatAnotherCallHasBookedButDoesNotSendGoesAlong(t *testing.T) {
	g := amqpRig(t)
	m, hit := malware(t, 1), indicator(t, 2, "")
	g.asserts("feed", m, hit)
	earlier := g.s.memory.book(0, []string{m.ID()})
	g.s.memory.depart(earlier)                 // it failed, and handed nothing over
	g.s.memory.book(1<<60, []string{hit.ID()}) // a later one, which may be waiting for us
	g.deliver(g.creates(relationship(t, 3, hit, m, ""))...)
	if n := len(g.queued()); n != 3 {
		t.Errorf("%d messages", n)
	}
}
