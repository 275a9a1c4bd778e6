package yamldoc

import (
	"slices"
	"strings"
)

// Nearest is the known word that was probably meant, or "" when none is close.
func Nearest(word string, known []string) string {
	word = squash(word)
	best, bestDistance := "", len(word)/3+1
	if bestDistance > 3 {
		bestDistance = 3
	}
	if len(word) > 64 {
		return ""
	}
	for _, candidate := range slices.Sorted(slices.Values(known)) {
		if d := distance(word, squash(candidate)); d < bestDistance || d == 0 {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// squash makes words equal that differ in case or in how they are joined:
// dependsOn, depends-on, depends_on.
func squash(word string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(word))
}

// distance counts the letters to add, leave out, replace or swap with their
// neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
