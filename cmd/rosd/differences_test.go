package main

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

func numbered(n int, with ...string) []string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprint(i))
	}
	return append(lines, with...)
}

// Long files cost what is different in them.
func TestDiffOfLongFiles(t *testing.T) {
	other := numbered(5000)
	slices.Reverse(other)
	for _, tt := range []struct {
		name       string
		old, fresh []string
		lines      int
	}{
		{"one line", numbered(5000, "a"), numbered(5000, "b"), 2},
		{"all of it", numbered(5000), other, 10000},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		lines := diff(tt.old, tt.fresh)
		runtime.ReadMemStats(&after)
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 64 {
			t.Errorf("%s: it takes %d MB", tt.name, used)
		}
		if len(lines) != tt.lines {
			t.Errorf("%s: %d lines, want %d", tt.name, len(lines), tt.lines)
		}
	}
}
