package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// table prints rows with their columns aligned. It never wraps and never cuts:
// what does not fit is the terminal's to wrap or the pipe's to keep.
type table struct {
	color bool
	gap   int // between columns; 0: two
	rows  []tableRow
}

type tableRow struct {
	cells []string
	notes []string // lines below the row, indented
}

func (t *table) add(cells ...string) {
	t.rows = append(t.rows, tableRow{cells: cells})
}

// note puts a line below the last row.
func (t *table) note(format string, args ...any) {
	last := &t.rows[len(t.rows)-1]
	last.notes = append(last.notes, fmt.Sprintf(format, args...))
}

func (t *table) write(w io.Writer) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row.cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row.cells {
			pad := widths[i] - utf8.RuneCountInString(cell)
			if head := t.rows[0].cells[i]; t.color && (head == "STATE" || head == "HEALTH") {
				cell = paint(cell)
			}
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", pad+cmp.Or(t.gap, 2)))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
		for _, note := range row.notes {
			// One line each, whatever a program wrote into its error.
			fmt.Fprintf(&b, "    %s\n", strings.Join(strings.Fields(note), " "))
		}
	}
	io.WriteString(w, b.String())
}

// paint colours a cell that is a state: green is well, yellow is on its way,
// red wants an operator. Other cells stay plain.
func paint(cell string) string {
	var code string
	switch cell {
	case "running", "healthy", "done":
		code = "32"
	case "waiting", "starting", "stopping", "backoff":
		code = "33"
	case "failed", "unhealthy":
		code = "31"
	default:
		return cell
	}
	return "\x1b[" + code + "m" + cell + "\x1b[0m"
}

// span is a duration in its two largest units: "3d 4h", "12m 5s", "8s".
func span(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 0:
		return "0s"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh %dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd %dh", s/86400, s/3600%24)
	}
}

// size is a number of bytes as people say it; nothing is "-".
func size(n int64) string {
	const k = 1024
	switch {
	case n <= 0:
		return "-"
	case n < k*k:
		return fmt.Sprintf("%d KiB", (n+k-1)/k)
	case n < k*k*k:
		return fmt.Sprintf("%.1f MiB", float64(n)/(k*k))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(k*k*k))
	}
}
