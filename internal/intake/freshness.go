package intake

import "hash/maphash"

// freshness spares look-ups while a producer that never wrote anything imports for the first time: what it has not written in this
// process cannot be known.
type freshness struct {
	seed maphash.Seed
	ids  map[uint64]struct{}
}

// maxFresh bounds the memory of the first import (about 16 bytes an object).
const maxFresh = 2_000_000

func (f *freshness) certainlyNew(key string) bool {
	if f == nil || f.ids == nil {
		return false
	}
	_, seen := f.ids[f.hash(key)]
	return !seen
}

func (f *freshness) add(key string) {
	if f == nil || f.ids == nil {
		return
	}
	if len(f.ids) >= maxFresh {
		f.ids = nil
		return
	}
	f.ids[f.hash(key)] = struct{}{}
}

func (f *freshness) hash(key string) uint64 {
	if f.seed == (maphash.Seed{}) {
		f.seed = maphash.MakeSeed()
	}
	return maphash.String(f.seed, key)
}
