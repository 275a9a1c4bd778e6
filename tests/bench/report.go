package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// row is a figure of the table: of each boot it takes some samples, and the
// median of all of them is shown.
type row struct {
	name    string
	budget  float64 // ours/peer at most this; 0: none
	samples func(boot) []float64
}

const mib = 1 << 10 // in KiB

var rows = []row{
	{"QEMU start to `docker info`, s", 0.7, func(b boot) []float64 { return []float64{b.Docker} }},
	{"CPU seconds of QEMU by then", 0, func(b boot) []float64 { return []float64{b.DockerCPU} }},
	{"QEMU start to ssh banner, s", 0.6, func(b boot) []float64 { return []float64{b.SSH} }},
	{"memory used at rest, MiB", 0.8, func(b boot) []float64 { return idle(b, memory.usedKiB) }},
	{"sum of PSS at rest, MiB", 0, func(b boot) []float64 { return idle(b, func(m memory) int64 { return m.PSS }) }},
	{"of that, the measurement itself, MiB", 0, func(b boot) []float64 { return idle(b, func(m memory) int64 { return m.Own }) }},
	{"anonymous pages at rest, MiB", 0, func(b boot) []float64 { return idle(b, func(m memory) int64 { return m.Anonymous }) }},
	{"slab at rest, MiB", 0, func(b boot) []float64 { return idle(b, func(m memory) int64 { return m.Slab }) }},
	{"`docker run --rm`, again, s", 1.0, func(b boot) []float64 { return b.Timed["hot"] }},
	{"`docker run --rm`, first, s", 0, func(b boot) []float64 { return b.Timed["cold"] }},
	{"`docker run --rm --network none`, s", 0, func(b boot) []float64 { return b.Timed["hot_no_network"] }},
	{"`docker version`, s", 0, func(b boot) []float64 { return b.Timed["client"] }},
	{"`docker import` of 2 MB, s", 0, func(b boot) []float64 { return b.Timed["import"] }},
	{"memory of one more idle container, MiB", 0, func(b boot) []float64 {
		four, ok := b.Memory["four_containers"]
		if !ok {
			return nil
		}
		return []float64{float64(four.usedKiB()-b.Memory["idle"].usedKiB()) / 4 / mib}
	}},
	{"power button to off, s", 0, func(b boot) []float64 { return []float64{b.PowerOff} }},
}

func idle(b boot, what func(memory) int64) []float64 {
	m, ok := b.Memory["idle"]
	if !ok {
		return nil
	}
	return []float64{float64(what(m)) / mib}
}

// report is the table in Markdown, with what is needed to read it.
func report(ours, peer *system, command string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s with `%s`: %d boots of each, in turns; median (lowest–highest).\n\n",
		time.Now().UTC().Format(time.DateOnly), command, len(ours.boots))
	fmt.Fprintf(&b, "| figure | %s | %s | ratio | budget | |\n|---|---|---|---|---|---|\n", ours.name, peer.name)
	megabytes := func(s *system) []float64 { return []float64{float64(s.sizes.total()) / 1e6} }
	line(&b, "compressed download, MB", 0.7, megabytes(ours), megabytes(peer))
	for _, r := range rows {
		line(&b, r.name, r.budget, collect(ours.boots, r.samples), collect(peer.boots, r.samples))
	}
	fmt.Fprintf(&b, "\nFirst boot, from a new disk, to `docker info`: %s %.1f s, %s %.1f s.\n", ours.name, ours.first.Docker, peer.name, peer.first.Docker)
	for _, s := range []*system{ours, peer} {
		fmt.Fprintf(&b, "Download of %s: kernel %.1f, initrd %.1f, the rest %.1f MB.\n",
			s.name, float64(s.sizes.Kernel)/1e6, float64(s.sizes.Initrd)/1e6, float64(s.sizes.Image)/1e6)
		if failed := collectFailed(s.boots); len(failed) > 0 {
			fmt.Fprintf(&b, "Failed in %s: %s.\n", s.name, strings.Join(failed, ", "))
		}
		if s.retried > 0 {
			fmt.Fprintf(&b, "%d boots of %s were repeated because the host did other work.\n", s.retried, s.name)
		}
	}
	fmt.Fprint(&b, "\nProportional set size at rest in the last boot, MiB, by program:\n\n")
	writeProcesses(&b, ours, peer)
	return b.String()
}

// line writes a row; a figure that one side lacks has no ratio.
func line(b *strings.Builder, name string, budget float64, ours, peer []float64) {
	ratio, limit, verdict := "", "", ""
	if len(ours) > 0 && len(peer) > 0 && median(peer) > 0 {
		quotient := median(ours) / median(peer)
		ratio = fmt.Sprintf("%.2f", quotient)
		if budget > 0 {
			verdict = "met"
			if quotient > budget {
				verdict = fmt.Sprintf("**missed by %.0f %%**", (quotient/budget-1)*100)
			}
		}
	}
	if budget > 0 {
		limit = fmt.Sprintf("≤ %.1f", budget)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", name, spread(ours), spread(peer), ratio, limit, verdict)
}

func collect(boots []boot, samples func(boot) []float64) []float64 {
	var all []float64
	for _, b := range boots {
		all = append(all, samples(b)...)
	}
	return all
}

func collectFailed(boots []boot) []string {
	all := map[string]bool{}
	for _, b := range boots {
		for _, what := range b.Failed {
			all[what] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// median of a list that is not empty.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func spread(list []float64) string {
	switch len(list) {
	case 0:
		return "–"
	case 1:
		return figure(list[0])
	}
	return fmt.Sprintf("%s (%s–%s)", figure(median(list)), figure(slices.Min(list)), figure(slices.Max(list)))
}

func figure(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	if v >= 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// writeProcesses puts both systems' programs side by side, the largest first.
func writeProcesses(b *strings.Builder, ours, peer *system) {
	list := func(s *system) []string {
		if len(s.boots) == 0 {
			return nil
		}
		by := s.boots[len(s.boots)-1].Memory["idle"].ByName
		names := slices.SortedFunc(maps.Keys(by), func(x, y string) int {
			return cmp.Or(cmp.Compare(by[y], by[x]), cmp.Compare(x, y))
		})
		var cells []string
		for _, name := range names[:min(16, len(names))] {
			cells = append(cells, fmt.Sprintf("%s | %.1f", name, float64(by[name])/mib))
		}
		return cells
	}
	fmt.Fprintf(b, "| %s | | %s | |\n|---|---|---|---|\n", ours.name, peer.name)
	left, right := list(ours), list(peer)
	for i := range max(len(left), len(right)) {
		cell := func(list []string) string {
			if i < len(list) {
				return list[i]
			}
			return " | "
		}
		fmt.Fprintf(b, "| %s | %s |\n", cell(left), cell(right))
	}
}

// writeBetween replaces what stands between two lines of a file.
func writeBetween(name, begin, end, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("cannot write the table: %w", err)
	}
	before, rest, ok := strings.Cut(string(old), begin+"\n")
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return errors.New("cannot write the table into " + name + ": it lacks the lines " + begin + " and " + end)
	}
	return os.WriteFile(name, []byte(before+begin+"\n"+text+end+after), 0o644)
}
