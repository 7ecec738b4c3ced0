package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Erasure is the audit record of one erasure: erasure.<id> in the state bucket. It names what was asked and counts what went, never content.
type Erasure struct {
	ID       string      `json:"id,omitempty"`       // STIX id
	Producer string      `json:"producer,omitempty"` // or everything of a producer
	By       string      `json:"by"`
	Time     time.Time   `json:"time"`
	Done     bool        `json:"done"`
	Events   int         `json:"events"`
	Latest   int         `json:"latest"`
	Letters  int         `json:"letters"`
	Blobs    int         `json:"blobs"`
	Ranges   [][2]uint64 `json:"ranges,omitempty"` // sequences taken out of STIX, inclusive
}

// Erase takes an object (by id), or everything of a producer, out of log, latest objects, dead letters and object store, and records that it
// did. The intent is recorded first, so that a crash in between is mended by erasing again. It reads the whole log once, and blocks for that.
func Erase(ctx context.Context, s *Store, id, producer, by string) (Erasure, error) {
	e := Erasure{ID: id, Producer: producer, By: by, Time: time.Now().UTC()}
	if (id == "") == (producer == "") {
		return e, errors.New("erase: name either a STIX id or a producer")
	}
	key := "erasure." + nuid.Next()
	seqs, blobs, err := s.matches(ctx, id, producer)
	if err != nil {
		return e, err
	}
	e.Ranges = ranges(seqs)
	if _, err := s.State.Put(ctx, key, e); err != nil {
		return e, err
	}
	for _, seq := range seqs {
		if err := s.Log.stream.SecureDeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return e, fmt.Errorf("erase event %d: %w", seq, err)
		}
		e.Events++
	}
	if e.Latest, err = s.eraseLatest(ctx, id, producer, blobs); err != nil {
		return e, err
	}
	var drop []uint64
	err = s.Letters.Scan(ctx, "", func(l Letter) error {
		subject, _ := ParseSubject(l.Subject)
		if id != "" && (l.ID == id || strings.Contains(string(l.Raw), id)) || producer != "" && (l.Name == producer || subject.Producer == producer) {
			drop = append(drop, l.Seq)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	for _, seq := range drop {
		if err := s.Letters.Drop(ctx, seq); err != nil {
			return e, err
		}
		e.Letters++
	}
	for ref := range blobs {
		if err := s.Blobs.Delete(ctx, ref); err != nil {
			return e, err
		}
		e.Blobs++
	}
	if err := s.countErasure(ctx); err != nil {
		return e, err
	}
	e.Done = true
	_, err = s.State.Put(ctx, key, e)
	return e, err
}

// matches lists the sequences and large payloads of an object or a producer.
func (s *Store) matches(ctx context.Context, id, producer string) (seqs []uint64, blobs map[string]bool, err error) {
	blobs = map[string]bool{}
	var filter []string
	if producer != "" {
		filter = Filter([]string{producer}, nil)
	} else if typ, _, ok := strings.Cut(id, "--"); ok && SafeType(typ) {
		filter = []string{Prefix + "*.*.*.*." + fmt.Sprint(Partition(id, s.Log.partitions))}
	}
	err = s.Log.Read(ctx, "erase", 1, ReadOptions{Filter: filter, Heads: true}, func(r Record) error {
		if id != "" && r.ID != id {
			return nil
		}
		seqs = append(seqs, r.Seq)
		if r.Blob != "" {
			blobs[r.Blob] = true
		}
		return nil
	})
	return seqs, blobs, err
}

func (s *Store) eraseLatest(ctx context.Context, id, producer string, blobs map[string]bool) (int, error) {
	if id != "" {
		typ, _, _ := strings.Cut(id, "--")
		all, err := s.Latest.Of(ctx, typ, id)
		if err != nil {
			return 0, err
		}
		for i, n := range all {
			if n.Blob != "" {
				blobs[n.Blob] = true
			}
			if err := s.Latest.Drop(ctx, n.Type, n.ID, n.Producer); err != nil {
				return i, err
			}
		}
		return len(all), nil
	}
	n := 0
	var seqs []uint64
	err := s.Latest.Scan(ctx, "erase", LatestFilter("*", producer), 0, true, func(e Entry) error {
		n++
		seqs = append(seqs, e.At)
		if e.Blob != "" {
			blobs[e.Blob] = true
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, seq := range seqs { // one by one, because a purge leaves the text in the files
		if err := s.Latest.stream.SecureDeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, fmt.Errorf("%s: erase %s: %w", StreamLatest, producer, err)
		}
	}
	for _, subject := range []string{LatestFilter("*", producer), checkpointSubject(producer)} {
		if err := s.Latest.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return 0, fmt.Errorf("%s: erase %s: %w", StreamLatest, producer, err)
		}
	}
	for _, key := range []string{"cursor." + producer, "producer." + producer} {
		if err := s.State.Delete(ctx, key); err != nil {
			return n, err
		}
	}
	return n, nil
}

// countErasure moves the counter that is part of event ids, so that what was erased may come in again.
func (s *Store) countErasure(ctx context.Context) error {
	for {
		var n struct {
			Count uint64 `json:"count"`
		}
		rev, err := s.State.Get(ctx, "erasures", &n)
		if err != nil {
			return err
		}
		n.Count++
		if _, err = s.State.Swap(ctx, "erasures", n, rev); !errors.Is(err, ErrChanged) {
			return err
		}
	}
}

// ErasedSince sums the sequences at or after first that recorded erasures took out.
func ErasedSince(ctx context.Context, s *State, first uint64) (int, error) {
	keys, err := s.Keys(ctx, "erasure.")
	if err != nil {
		return 0, err
	}
	gone := map[uint64]bool{}
	for _, k := range keys {
		var e Erasure
		if _, err := s.Get(ctx, k, &e); err != nil {
			return 0, err
		}
		for _, r := range e.Ranges {
			for seq := max(r[0], first); seq <= r[1]; seq++ {
				gone[seq] = true
			}
		}
	}
	return len(gone), nil
}

func ranges(seqs []uint64) (r [][2]uint64) {
	slices.Sort(seqs)
	for _, s := range seqs {
		if n := len(r); n > 0 && r[n-1][1]+1 == s {
			r[n-1][1] = s
			continue
		}
		r = append(r, [2]uint64{s, s})
	}
	return r
}
