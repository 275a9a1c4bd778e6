package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/rosteros/ros/internal/catalog"
)

// newImages are the images that an update changes, a line each.
func newImages(kept catalog.Enabled, fresh *prepared) []string {
	var lines []string
	for _, image := range slices.Sorted(maps.Keys(fresh.kept.Images)) {
		now := fresh.kept.Images[image]
		switch was, had := kept.Images[image]; {
		case !had:
			lines = append(lines, fmt.Sprintf("image %s: new, %s", image, now))
		case was != now:
			lines = append(lines, fmt.Sprintf("image %s: %s -> %s", image, was, now))
		}
	}
	return lines
}

// maxPairs bounds what diff remembers at a time: 32 MB.
const maxPairs = 4 << 20

// diff is a list of lines that go ("-") and come ("+"), the shortest one unless
// too much is different.
func diff(old, fresh []string) []string {
	old, fresh = different(old, fresh)
	if (len(old)+1)*(len(fresh)+1) > maxPairs {
		return append(prefixed("-", old), prefixed("+", fresh)...)
	}
	longest := common(old, fresh)
	var lines []string
	for i, j := 0, 0; i < len(old) || j < len(fresh); {
		switch {
		case i < len(old) && j < len(fresh) && old[i] == fresh[j]:
			i, j = i+1, j+1
		case j == len(fresh) || i < len(old) && longest[i+1][j] >= longest[i][j+1]:
			lines = append(lines, "-"+old[i])
			i++
		default:
			lines = append(lines, "+"+fresh[j])
			j++
		}
	}
	return lines
}

// different leaves out what both begin and end with.
func different(old, fresh []string) (a, b []string) {
	for len(old) > 0 && len(fresh) > 0 && old[0] == fresh[0] {
		old, fresh = old[1:], fresh[1:]
	}
	for len(old) > 0 && len(fresh) > 0 && old[len(old)-1] == fresh[len(fresh)-1] {
		old, fresh = old[:len(old)-1], fresh[:len(fresh)-1]
	}
	return old, fresh
}

func prefixed(sign string, lines []string) []string {
	var list []string
	for _, line := range lines {
		list = append(list, sign+line)
	}
	return list
}

// common is the table of the longest list of lines that both have from any two
// of them on.
func common(old, fresh []string) [][]int {
	longest := make([][]int, len(old)+1)
	for i := range longest {
		longest[i] = make([]int, len(fresh)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(fresh) - 1; j >= 0; j-- {
			if old[i] == fresh[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	return longest
}
