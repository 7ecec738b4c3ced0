package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// State is the bucket of cursors, positions, leases and orders. Keys are dotted words.
type State struct {
	nc *nats.Conn
	kv jetstream.KeyValue
}

// ErrChanged says that a compare-and-set lost: somebody else wrote the key.
var ErrChanged = errors.New("changed by somebody else")

// Get reads a key into a pointer and returns its revision; 0 when there is none.
func (s *State) Get(ctx context.Context, key string, into any) (uint64, error) {
	m, ok, err := ofLeader(ctx, s.nc, streamState, question{LastOf: "$KV." + BucketState + "." + key})
	if err != nil {
		return 0, fmt.Errorf("state %s: %w", key, err)
	}
	if !ok || one(m.Header, "KV-Operation") != "" || one(m.Header, "Nats-Marker-Reason") != "" { // deleted, or a mark that it was
		return 0, nil
	}
	if raw, ok := into.(*json.RawMessage); ok {
		*raw = m.Data
		return m.Sequence, nil
	}
	if err := json.Unmarshal(m.Data, into); err != nil {
		return 0, fmt.Errorf("state %s is damaged: %w", key, err)
	}
	return m.Sequence, nil
}

// Put writes a key, whoever wrote it last, and returns the revision.
func (s *State) Put(ctx context.Context, key string, v any) (uint64, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	rev, err := s.kv.Put(ctx, key, b)
	if err != nil {
		return 0, fmt.Errorf("state %s: %w", key, err)
	}
	return rev, nil
}

// PutAll writes keys, whoever wrote them last, all or none.
func (s *State) PutAll(ctx context.Context, values map[string]any) error {
	var msgs []*nats.Msg
	for key, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		msgs = append(msgs, &nats.Msg{Subject: "$KV." + BucketState + "." + key, Data: b})
	}
	if _, err := Commit(ctx, s.nc, msgs); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// Swap writes a key if its revision is still the given one (0: it must not exist), and returns the new revision.
func (s *State) Swap(ctx context.Context, key string, v any, revision uint64) (uint64, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	var rev uint64
	if revision == 0 {
		rev, err = s.kv.Create(ctx, key, b)
	} else {
		rev, err = s.kv.Update(ctx, key, b, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || wrongLast(err) {
		return 0, fmt.Errorf("state %s: %w", key, ErrChanged)
	}
	if err != nil {
		return 0, fmt.Errorf("state %s: %w", key, err)
	}
	return rev, nil
}

func wrongLast(err error) bool {
	var a *jetstream.APIError
	return errors.As(err, &a) && (a.ErrorCode == codeWrongLast || a.ErrorCode == codeWrongLastNow)
}

// Delete removes a key.
func (s *State) Delete(ctx context.Context, key string) error {
	if err := s.kv.Purge(ctx, key); err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return fmt.Errorf("state %s: %w", key, err)
	}
	return nil
}

// Remove deletes a key if its revision is still the given one; ErrChanged otherwise. Its name is forgotten after a minute.
func (s *State) Remove(ctx context.Context, key string, revision uint64) error {
	err := s.kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(time.Minute))
	if wrongLast(err) {
		return fmt.Errorf("state %s: %w", key, ErrChanged)
	}
	if err != nil {
		return fmt.Errorf("state %s: %w", key, err)
	}
	return nil
}

// Keys lists the keys below a prefix ("pos.archive."): all of them, or an error.
func (s *State) Keys(ctx context.Context, prefix string) (keys []string, err error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	complete := false
	err = s.Follow(watching, []string{prefix + ">"}, func(key string, value []byte, _ uint64) {
		switch {
		case key == "":
			complete = true
			stop()
		case value != nil && !complete:
			keys = append(keys, key)
		}
	})
	if complete {
		return keys, nil
	}
	return nil, err
}

// Watch calls yield for every present and future value below a prefix until ctx ends; value nil means deleted.
func (s *State) Watch(ctx context.Context, prefix string, yield func(key string, value []byte)) error {
	return s.Follow(ctx, []string{prefix + ">"}, func(key string, value []byte, _ uint64) {
		if key != "" {
			yield(key, value)
		}
	})
}

// Follow calls yield for every present and future value of keys (with wildcards) until ctx ends or the watch does; value nil means
// deleted. An empty key says that the present is complete.
func (s *State) Follow(ctx context.Context, keys []string, yield func(key string, value []byte, revision uint64)) error {
	w, err := s.kv.WatchFiltered(ctx, keys)
	if err != nil {
		return fmt.Errorf("state %s: %w", keys, err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return fmt.Errorf("state %s: watch ended", keys)
			case e == nil:
				yield("", nil, 0)
			case e.Operation() == jetstream.KeyValuePut:
				yield(e.Key(), e.Value(), e.Revision())
			default:
				yield(e.Key(), nil, e.Revision())
			}
		}
	}
}

// Write is one compare-and-set of a batch.
type Write struct {
	Key      string
	Value    any
	Revision uint64 // the last one known; 0: the key must not exist
}

// SwapAll writes all keys or none, and returns their new revisions in order.
func (s *State) SwapAll(ctx context.Context, writes []Write) ([]uint64, error) {
	msgs := make([]*nats.Msg, len(writes))
	for i, w := range writes {
		b, err := json.Marshal(w.Value)
		if err != nil {
			return nil, err
		}
		msgs[i] = &nats.Msg{Subject: "$KV." + BucketState + "." + w.Key, Data: b, Header: nats.Header{headerLastSubjectSeq: {strconv.FormatUint(w.Revision, 10)}}}
	}
	last, err := Commit(ctx, s.nc, msgs)
	if errors.Is(err, ErrFenced) {
		return nil, fmt.Errorf("state %s: %w", keysOf(writes), ErrChanged)
	}
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", keysOf(writes), err)
	}
	revs := make([]uint64, len(writes))
	for i := range revs {
		revs[i] = last - uint64(len(writes)-1-i)
	}
	return revs, nil
}

func keysOf(writes []Write) string {
	k := make([]string, len(writes))
	for i, w := range writes {
		k[i] = w.Key
	}
	return strings.Join(k, " ")
}
