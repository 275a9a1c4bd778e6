package servicelog_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/servicelog"
)

var small = servicelog.Limits{MaxBytes: 400, Files: 3}

// feed sends the texts through one stream of a Sink and waits for its end.
func feed(t *testing.T, dir string, l servicelog.Limits, texts ...string) {
	t.Helper()
	sink := servicelog.NewSink(dir, slog.New(slog.DiscardHandler))
	r, w := io.Pipe()
	if err := sink.Add("ntp", servicelog.Stdout, r, l); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	sink.Close(time.Minute)
}

func texts(t *testing.T, dir string, n int) []string {
	t.Helper()
	lines, err := servicelog.Tail(dir, "ntp", n)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range lines {
		if l.Time.IsZero() {
			t.Errorf("line %q is not in the format", l.Text)
		}
		all = append(all, l.Text)
	}
	return all
}

func numbered(from, to int) (lines []string, text string) {
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("line %04d", i))
	}
	return lines, strings.Join(lines, "\n") + "\n"
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestSinkSplitsLines(t *testing.T) {
	long := strings.Repeat("x", 40<<10)
	for _, tt := range []struct {
		name string
		in   []string
		want []string
	}{
		{"lines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"a line in pieces", []string{"he", "ll", "o\nwor", "ld\n"}, []string{"hello", "world"}},
		{"no newline at the end", []string{"a\nb"}, []string{"a", "b"}},
		{"empty lines", []string{"\n\na\n"}, []string{"", "", "a"}},
		{"terminal line ends", []string{"a\r\nb\r\n"}, []string{"a", "b"}},
		{"long line", []string{long + "\nshort\n"},
			[]string{long[:16<<10], long[:16<<10], long[:8<<10], "short"}},
		{"nothing", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "when needed")
			feed(t, dir, servicelog.Limits{}, tt.in...)
			if diff := cmp.Diff(tt.want, texts(t, dir, -1)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	lines, text := numbered(0, 100)
	feed(t, dir, small, text)
	if diff := cmp.Diff([]string{"ntp.log", "ntp.log.1", "ntp.log.2"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, name := range names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() > small.MaxBytes || info.Size() == 0 {
			t.Errorf("%s: %v bytes (%v), want at most %d", name, info.Size(), err, small.MaxBytes)
		}
	}
	got := texts(t, dir, -1)
	if diff := cmp.Diff(lines[len(lines)-len(got):], got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}

	// Fewer files than before: those over the limit go at the next rotation.
	feed(t, dir, servicelog.Limits{MaxBytes: 400, Files: 1}, text)
	if diff := cmp.Diff([]string{"ntp.log"}, names(t, dir)); diff != "" {
		t.Errorf("files after one-file limit (-want +got):\n%s", diff)
	}
}

func TestTail(t *testing.T) {
	dir := t.TempDir()
	lines, text := numbered(0, 5000) // over several read blocks
	feed(t, dir, servicelog.Limits{MaxBytes: 1 << 20, Files: 2}, text)
	feed(t, dir, small, "rotated\n")
	lines = append(lines, "rotated")
	for _, n := range []int{0, 1, 2, 3, 1000, 5001, 6000, -1} {
		want := lines
		if n >= 0 && n < len(lines) {
			want = lines[len(lines)-n:]
		}
		if got := texts(t, dir, n); !slices.Equal(want, got) {
			t.Errorf("Tail(%d): %d lines, want %d (-want +got):\n%s", n, len(got), len(want), cmp.Diff(want, got))
		}
	}
	if got, err := servicelog.Tail(dir, "silent", 10); got != nil || err != nil {
		t.Errorf("Tail of a silent service = %v, %v", got, err)
	}
	if _, err := servicelog.Tail(dir, "../ntp", 10); err == nil {
		t.Error("Tail took a name that leads out of the directory")
	}
}

func TestFullDiskIsNoted(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "ntp.log")
	if err := os.Symlink("/dev/full", name); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	sink := servicelog.NewSink(dir, slog.New(slog.NewTextHandler(&said, nil)))
	for range 5 {
		if err := sink.Line("ntp", servicelog.Stdout, "lost"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(name); err != nil { // there is room again
		t.Fatal(err)
	}
	if err := sink.Line("ntp", servicelog.Stdout, "kept"); err != nil {
		t.Fatal(err)
	}
	got := texts(t, dir, -1)
	want := []string{"5 lines dropped: write " + name + ": no space left on device", "kept"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if !strings.Contains(said.String(), "dropping lines") {
		t.Errorf("nobody was told: %q", said.String())
	}
}

func TestTornLineIsEnded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ntp.log"), []byte("2026-11-23T12:00:00.1"), 0o644); err != nil {
		t.Fatal(err)
	}
	feed(t, dir, servicelog.Limits{}, "next\n")
	lines, err := servicelog.Tail(dir, "ntp", -1)
	if err != nil || len(lines) != 2 || lines[0].Text != "2026-11-23T12:00:00.1" || lines[1].Text != "next" {
		t.Errorf("Tail = %+v, %v", lines, err)
	}
}

func TestRemovedFileComesBack(t *testing.T) {
	dir := t.TempDir()
	sink := servicelog.NewSink(dir, slog.New(slog.DiscardHandler))
	r, w := io.Pipe()
	if err := sink.Add("ntp", servicelog.Stdout, r, servicelog.Limits{}); err != nil {
		t.Fatal(err)
	}
	_ = sink.Line("ntp", servicelog.Stdout, "before")
	if err := os.Remove(filepath.Join(dir, "ntp.log")); err != nil {
		t.Fatal(err)
	}
	_ = sink.Line("ntp", servicelog.Stdout, "after")
	w.Close()
	sink.Close(time.Minute)
	if diff := cmp.Diff([]string{"after"}, texts(t, dir, -1)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if err := sink.Line("ntp", servicelog.Stdout, "late"); err == nil {
		t.Error("a closed Sink took a line")
	}
}

// Real pipes and many writers: nothing is lost or torn, and the two streams
// of one service meet in one file.
func TestManyStreams(t *testing.T) {
	dir := t.TempDir()
	sink := servicelog.NewSink(dir, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	const streams, each = 8, 500
	for s := range streams {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Add("ntp", servicelog.Stderr, r, servicelog.Limits{MaxBytes: 16 << 10, Files: 100}); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer w.Close()
			for i := range each {
				fmt.Fprintf(w, "%d:%d\n", s, i)
			}
		})
	}
	wg.Wait()
	sink.Close(time.Minute)
	next := make([]int, streams)
	for _, text := range texts(t, dir, -1) {
		var s, i int
		if _, err := fmt.Sscanf(text, "%d:%d", &s, &i); err != nil || i != next[s] {
			t.Fatalf("line %q, want number %d of stream %d (%v)", text, next[s], s, err)
		}
		next[s]++
	}
	for s, n := range next {
		if n != each {
			t.Errorf("stream %d: %d lines, want %d", s, n, each)
		}
	}
}
