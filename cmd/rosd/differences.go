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

// diff is the shortest list of lines that go ("-") and come ("+"). Files are
// short: the table of all pairs will do.
func diff(old, fresh []string) []string {
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
