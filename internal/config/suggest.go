package config

import (
	"slices"
	"strings"
)

// meant returns the known word that a mistyped one most likely stands for, or "".
func meant(word string, known []string) string {
	best, cost := "", 0
	w := squeeze(word)
	for _, k := range known {
		c := distance(w, squeeze(k))
		if limit := max(1, min(len(w), len(k))/3); c > limit {
			continue
		}
		if best == "" || c < cost {
			best, cost = k, c
		}
	}
	return best
}

// squeeze makes words equal that differ in case and separators only.
func squeeze(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

// didYouMean writes the remedy for an unknown word.
func didYouMean(word string, known []string) string {
	if m := meant(word, known); m != "" {
		return `did you mean "` + m + `"?`
	}
	if len(known) == 0 {
		return "remove it"
	}
	return "known are " + strings.Join(known, ", ")
}

// distance counts insertions, deletions, substitutions and swaps of neighbours.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 1 << 16
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			c := 1
			if a[i-1] == b[j-1] {
				c = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+c)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

func sorted(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return words
}
