package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// life is a world as one runner sees it; after its end nothing that the runner does has an effect.
type life struct {
	*world
	dead chan struct{}
}

var errDead = errors.New("the process was killed")

func (l *life) over() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

func (l *life) Read(ctx context.Context, from, to uint64, f Filter, yield func(Item) error) error {
	for at := from; ; {
		l.mu.Lock()
		at = max(at, l.first)
		last, grew := uint64(len(l.events)), l.grew
		if to > 0 {
			last = min(last, to)
		}
		if l.over() || at > last {
			l.mu.Unlock()
			if to > 0 {
				return nil
			}
			if l.over() {
				return errDead
			}
			if at > from && at > 1 && (len(f.Producers) > 0 || len(f.Types) > 0) {
				if err := yield(Item{Mark: at - 1}); err != nil {
					return err
				}
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-l.dead:
				return errDead
			case <-grew:
			}
			continue
		}
		e := l.events[at-1]
		skip := l.gone[at] || (len(f.Producers) > 0 && !slices.Contains(f.Producers, e.Producer)) || (len(f.Types) > 0 && !slices.Contains(f.Types, e.Object.Type())) ||
			(f.Partitions != nil && !slices.Contains(f.Partitions, partitionOf(e.Object.ID(), l.parts)))
		l.mu.Unlock()
		at++
		if skip {
			continue
		}
		if err := yield(Item{Event: e, Partition: partitionOf(e.Object.ID(), l.parts)}); err != nil {
			return err
		}
	}
}

func (l *life) Get(_ context.Context, seq uint64) (bridge.Event, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gets++
	if l.failGet != nil {
		if err := l.failGet(seq); err != nil {
			return bridge.Event{}, false, err
		}
	}
	if seq < l.first || seq > uint64(len(l.events)) || l.gone[seq] {
		return bridge.Event{}, false, nil
	}
	return l.events[seq-1], true, nil
}

func (l *life) FirstSeq(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, nil
}

func (l *life) LastSeq(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.events)), nil
}

func (l *life) Of(_ context.Context, typ, id string) (all []Assertion, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, a := range l.latest {
		if strings.HasPrefix(k, id+" ") {
			all = append(all, a)
		}
	}
	return all, nil
}

func (l *life) Settle(_ context.Context, producer string, seq uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events[:seq] {
		if (e.Producer == producer || producer == "") && l.latest[e.Object.ID()+" "+e.Producer].Seq < e.Seq {
			l.project(e)
		}
	}
	return nil
}

func (l *life) Scan(ctx context.Context, after uint64, yield func(Assertion, uint64) error) error {
	l.mu.Lock()
	all := slices.SortedFunc(maps.Values(l.latest), func(a, b Assertion) int { return int(a.Seq) - int(b.Seq) })
	l.mu.Unlock()
	for _, a := range all {
		if l.over() {
			return errDead
		}
		if a.Seq > after { // the storage position is the sequence: an update moves an entry to the end
			if err := yield(a, a.Seq); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *life) Load(context.Context) (State, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil {
		return State{}, false, nil
	}
	return State{Floors: slices.Clone(l.state.Floors), Phase: l.state.Phase}, true, nil
}

func (l *life) Create(_ context.Context, s State) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil {
		l.state = &s
	}
	return nil
}

func (l *life) Save(ctx context.Context, c Change) error {
	if l.slowSave > 0 {
		time.Sleep(l.slowSave)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return errDead
	}
	if l.failSave != nil {
		if err := l.failSave(c); err != nil {
			return err
		}
	}
	l.saves++
	for p, f := range c.Floors {
		if f < l.state.Floors[p] {
			l.t.Errorf("the floor of partition %d went back from %d to %d", p, l.state.Floors[p], f)
		}
		l.state.Floors[p] = f
	}
	if c.Phase != nil {
		l.state.Phase = *c.Phase
	}
	return nil
}

func (l *life) Store(_ context.Context, letter Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return errDead
	}
	if l.failStore != nil {
		if err := l.failStore(letter); err != nil {
			return err
		}
	}
	l.letters[fmt.Sprintf("%d %s", letter.Event.Seq, letter.Event.Op)] = letter
	return nil
}

type orders struct{ l *life }

func (o orders) Save(_ context.Context, x Order) error {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	if o.l.over() {
		return errDead
	}
	if _, there := o.l.orders[x.ID]; !there {
		o.l.orders[x.ID] = x
	}
	return nil
}

func (o orders) Note(_ context.Context, x Order, at map[int]uint64) (over bool, _ error) {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	if o.l.over() {
		return false, errDead
	}
	kept, there := o.l.orders[x.ID]
	if !there {
		return true, nil
	}
	if kept.At == nil {
		kept.At = map[int]uint64{}
	}
	maps.Copy(kept.At, at)
	o.l.orders[x.ID] = kept
	for p := range o.l.parts {
		if kept.At[p] < x.To {
			return false, nil
		}
	}
	delete(o.l.orders, x.ID)
	return true, nil
}

func (o orders) List(context.Context) ([]Order, error) {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	all := slices.Collect(maps.Values(o.l.orders))
	for i := range all {
		all[i].At = maps.Clone(all[i].At)
	}
	return all, nil
}
