package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
	"github.com/stixbridge/stixbridge/stix"
)

// logPort lends the event log to a runner.
type logPort struct {
	log     *eventlog.Log
	name    string // the consumer's: it shows in nats consumer report
	skipped *skipped
}

// skipped counts what the server left out for a consumer's gates, so that it is counted like what the gates themselves hold back.
type skipped struct {
	mu   sync.Mutex
	gate string
	n    uint64
	at   uint64 // last sequence seen
}

func (s *skipped) begin(gate string, from uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate, s.at = gate, from-min(from, 1)
}

// saw counts the sequences between what was seen before and seq; with mark, seq itself was left out, too.
func (s *skipped) saw(seq uint64, mark bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.at || s.gate == "" {
		return
	}
	s.n += seq - s.at
	if !mark {
		s.n--
	}
	s.at = seq
}

func (s *skipped) count() (gate string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate, s.n
}

// narrow chooses what the server is to leave out: only one gate's, so that it can be counted as that gate's.
func narrow(f delivery.Filter) (filter []string, gate string) {
	if len(f.Producers) > 0 {
		return eventlog.Filter(f.Producers, nil), "producers"
	}
	if filter = eventlog.Filter(nil, f.Types); filter != nil {
		gate = "types"
	}
	return filter, gate
}

func (p logPort) Read(ctx context.Context, from, to uint64, f delivery.Filter, yield func(delivery.Item) error) error {
	each := func(r eventlog.Record) error {
		if to > 0 && r.Seq > to {
			return errReadEnd
		}
		e, err := r.Event()
		if err != nil {
			return err
		}
		return yield(delivery.Item{Event: e, Partition: r.Partition})
	}
	filter, gate := narrow(f)
	if to > 0 {
		err := p.log.Read(ctx, p.name, from, eventlog.ReadOptions{Filter: filter, To: to}, each)
		if errors.Is(err, errReadEnd) {
			return nil
		}
		return err
	}
	p.skipped.begin(gate, from)
	return p.log.Read(ctx, p.name, from, eventlog.ReadOptions{Filter: filter, Follow: true, Mark: func(seq uint64) error {
		p.skipped.saw(seq, true)
		return yield(delivery.Item{Mark: seq})
	}}, func(r eventlog.Record) error {
		p.skipped.saw(r.Seq, false)
		return each(r)
	})
}

var errReadEnd = errors.New("end of the span")

func (p logPort) Get(ctx context.Context, seq uint64) (bridge.Event, bool, error) {
	r, ok, err := p.log.Get(ctx, seq)
	if err != nil || !ok {
		return bridge.Event{}, false, err
	}
	e, err := r.Event()
	return e, err == nil, err
}

func (p logPort) FirstSeq(ctx context.Context) (uint64, error) {
	first, _, err := p.log.Bounds(ctx)
	return max(first, 1), err
}

func (p logPort) LastSeq(ctx context.Context) (uint64, error) {
	_, last, err := p.log.Bounds(ctx)
	return last, err
}

// latestPort lends STIX_LATEST to a runner.
type latestPort struct {
	store  *eventlog.Store
	name   string
	lookup *lookups
}

func (p latestPort) Of(ctx context.Context, typ, id string) ([]delivery.Assertion, error) {
	entries, err := p.lookup.of(ctx, eventlog.Key{Type: typ, ID: id})
	if err != nil {
		return nil, err
	}
	all := make([]delivery.Assertion, 0, len(entries))
	for _, e := range entries {
		a, err := p.assertion(ctx, e)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (p latestPort) assertion(ctx context.Context, e eventlog.Entry) (a delivery.Assertion, err error) {
	if e, err = p.store.Latest.Fetch(ctx, e); err != nil {
		return a, err
	}
	a = delivery.Assertion{Producer: e.Producer, Seq: e.Seq, EventID: e.EventID, Time: e.Time, Op: e.Op, TLP: e.TLP}
	if a.Object, err = stix.Parse(e.Data); err != nil {
		return a, fmt.Errorf("object %s of %s: %w", e.ID, e.Producer, err)
	}
	a.Context, err = bridge.ParseContext([]byte(e.Context))
	return a, err
}

// settleLimit bounds the wait for a producer that cannot catch up (its own status says why): it must not hold up every consumer.
const settleLimit = 30 * time.Second

func (p latestPort) Settle(ctx context.Context, producer string, seq uint64) error {
	if producer != "" {
		return p.settle(ctx, producer, seq)
	}
	names, err := p.store.Log.Producers(ctx)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for _, name := range names {
		last, ok, err := p.store.Log.LastOf(ctx, name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := p.settle(limit, name, last.Seq); err != nil && limit.Err() == nil {
			return err
		}
	}
	return ctx.Err()
}

func (p latestPort) settle(ctx context.Context, producer string, seq uint64) error {
	for {
		c, err := p.store.Latest.Checkpoint(ctx, producer)
		if err != nil || c.Seq >= seq {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond): // the projection follows its event within one batch
		}
	}
}

func (p latestPort) Scan(ctx context.Context, after uint64, yield func(delivery.Assertion, uint64) error) error {
	return p.store.Latest.Scan(ctx, p.name, eventlog.LatestFilter("*", "*"), after, false, func(e eventlog.Entry) error {
		a, err := p.assertion(ctx, e)
		if err != nil {
			return err
		}
		return yield(a, e.At)
	})
}

// positions keeps a consumer's position: one record per partition, and its phase, each by compare-and-set.
type positions struct {
	state      *eventlog.State
	consumer   string
	partitions int
	owner      string

	revs   []uint64 // per partition; last: the phase
	floors []uint64
	phase  delivery.Phase
}

// position is the record pos.<consumer>.<partition>.
type position struct {
	Owner string `json:"owner"`
	Floor uint64 `json:"floor"` // every event of the partition up to here is dealt with
}

func (p *positions) key(i int) string { return fmt.Sprintf("pos.%s.%d", p.consumer, i) }
func (p *positions) phaseKey() string { return "pos." + p.consumer + ".phase" }

func (p *positions) Load(ctx context.Context) (delivery.State, bool, error) {
	s, ok, err := p.read(ctx)
	if err != nil || !ok {
		return s, ok, err
	}
	// Taking over writes every record, so that a former owner's next save fails.
	p.floors, p.phase = slices.Clone(s.Floors), s.Phase
	all := map[int]uint64{}
	for i, f := range p.floors {
		all[i] = f
	}
	if err := p.Save(ctx, delivery.Change{Floors: all}); err != nil {
		return s, false, err
	}
	return s, true, nil
}

func (p *positions) read(ctx context.Context) (s delivery.State, ok bool, err error) {
	p.revs = make([]uint64, p.partitions+1)
	s.Floors = make([]uint64, p.partitions)
	if p.revs[p.partitions], err = p.state.Get(ctx, p.phaseKey(), &s.Phase); err != nil || p.revs[p.partitions] == 0 {
		return s, false, err
	}
	for i := range p.partitions {
		var r position
		if p.revs[i], err = p.state.Get(ctx, p.key(i), &r); err != nil {
			return s, false, err
		}
		s.Floors[i] = r.Floor
	}
	return s, true, nil
}

func (p *positions) Create(ctx context.Context, s delivery.State) error {
	if _, ok, err := p.read(ctx); err != nil || ok {
		return err
	}
	writes := []eventlog.Write{{Key: p.phaseKey(), Value: s.Phase}}
	for i, f := range s.Floors {
		writes = append(writes, eventlog.Write{Key: p.key(i), Value: position{p.owner, f}})
	}
	_, err := p.state.SwapAll(ctx, writes)
	if errors.Is(err, eventlog.ErrChanged) {
		return nil // somebody made it meanwhile
	}
	return err
}

func (p *positions) Save(ctx context.Context, c delivery.Change) error {
	if p.revs == nil {
		if _, _, err := p.read(ctx); err != nil {
			return err
		}
	}
	var writes []eventlog.Write
	var at []int
	for i := range p.partitions {
		if f, ok := c.Floors[i]; ok {
			writes, at = append(writes, eventlog.Write{Key: p.key(i), Value: position{p.owner, f}, Revision: p.revs[i]}), append(at, i)
		}
	}
	if c.Phase != nil {
		writes, at = append(writes, eventlog.Write{Key: p.phaseKey(), Value: *c.Phase, Revision: p.revs[p.partitions]}), append(at, p.partitions)
	}
	if len(writes) == 0 {
		return nil
	}
	revs, err := p.state.SwapAll(ctx, writes)
	switch {
	case err == nil:
		for i, n := range at {
			p.revs[n] = revs[i]
		}
		return nil
	case errors.Is(err, eventlog.ErrChanged):
		return p.adopt(ctx, err)
	default:
		return err
	}
}

// adopt re-reads the revisions after a lost compare-and-set: an earlier save of ours may have been stored without an answer.
func (p *positions) adopt(ctx context.Context, lost error) error {
	for i := range p.partitions {
		var r position
		rev, err := p.state.Get(ctx, p.key(i), &r)
		if err != nil {
			return err
		}
		if rev != p.revs[i] && r.Owner != p.owner {
			return fmt.Errorf("%w (%s)", delivery.ErrFenced, r.Owner)
		}
		p.revs[i] = rev
	}
	var ph delivery.Phase
	rev, err := p.state.Get(ctx, p.phaseKey(), &ph)
	if err != nil {
		return err
	}
	p.revs[p.partitions] = rev
	return lost // plain: the runner saves again
}

// letters stores a consumer's dead letters.
type letters struct{ store *eventlog.Store }

func (p letters) Store(ctx context.Context, l delivery.Letter) error {
	return keepLetter(ctx, p.store, l)
}

// keepLetter stores a letter; a large object goes to the object store, as it does in the log.
func keepLetter(ctx context.Context, s *eventlog.Store, l delivery.Letter) (err error) {
	d := letterOf(s, l)
	if len(d.Raw) > eventlog.MaxInline {
		if d.Blob, err = s.Blobs.Put(ctx, l.Event.TLP, d.Raw); err != nil {
			return err
		}
		d.Raw = nil
	}
	return s.Letters.Store(ctx, d)
}

func letterOf(s *eventlog.Store, l delivery.Letter) eventlog.Letter {
	e := l.Event
	subject := eventlog.Subject{Producer: e.Producer, TLP: e.TLP, Op: e.Op, Type: e.Object.Type(), Partition: eventlog.Partition(e.Object.ID(), s.Log.Partitions())}
	d := eventlog.Letter{
		Name: l.Consumer, Side: "consumer", Class: l.Reason, Reason: l.Error, Attempts: l.Attempts,
		ID: e.Object.ID(), EventSeq: e.Seq, EventID: e.ID, Subject: subject.String(), EventTime: e.Time, Raw: e.Object.Raw(),
	}
	if c := e.Context.JSON(); len(c) > 2 {
		d.Context = string(c)
	}
	return d
}

// orders keeps the replays of a consumer.
type orders struct {
	state    *eventlog.State
	consumer string
}

func (o orders) prefix() string { return "replay." + o.consumer + "." }

func (o orders) Save(ctx context.Context, r delivery.Order) error {
	_, err := o.state.Put(ctx, o.prefix()+r.ID, r)
	return err
}

func (o orders) Remove(ctx context.Context, id string) error {
	return o.state.Delete(ctx, o.prefix()+id)
}

func (o orders) List(ctx context.Context) ([]delivery.Order, error) {
	keys, err := o.state.Keys(ctx, o.prefix())
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	var all []delivery.Order
	for _, k := range keys {
		var r delivery.Order
		if rev, err := o.state.Get(ctx, k, &r); err != nil {
			return nil, err
		} else if rev > 0 {
			all = append(all, r)
		}
	}
	return all, nil
}

// put stores what an enricher answered, and returns when it is durable.
func put(ctx context.Context, in *intake.Intake, changes []bridge.Change) error {
	if err := in.Put(ctx, changes...); err != nil {
		return err
	}
	return in.Flush(ctx)
}
