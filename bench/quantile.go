package main

import (
	"cmp"
	"slices"
)

// quantiles returns the median, the 99th percentile and the greatest of some values.
func quantiles[T cmp.Ordered](all []T) (p50, p99, most T) {
	if len(all) == 0 {
		return
	}
	s := slices.Clone(all)
	slices.Sort(s)
	at := func(q float64) T { return s[min(int(q*float64(len(s))), len(s)-1)] }
	return at(0.5), at(0.99), s[len(s)-1]
}
