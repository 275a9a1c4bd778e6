package servicelog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/servicelog"
)

// follow starts Follow in a synctest bubble. said is what it emitted once
// everybody waits.
func follow(ctx context.Context, t *testing.T, dir string, n int) (said func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	go func() {
		err := servicelog.Follow(ctx, dir, "ntp", n, func(l servicelog.Line) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, l.Text)
			return nil
		})
		if err != nil {
			t.Errorf("Follow: %v", err)
		}
	}()
	return func() []string {
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		said := follow(ctx, t, dir, 2)
		if got := said(); got != nil {
			t.Errorf("before there is a file: %q", got)
		}
		var want []string
		sink := servicelog.NewSink(dir, slog.New(slog.DiscardHandler))
		say := func(count int) {
			for range count {
				text := fmt.Sprintf("line %d", len(want))
				want = append(want, text)
				if err := sink.Line("ntp", servicelog.Stdout, text); err != nil {
					t.Fatal(err)
				}
			}
		}
		say(3)
		if diff := cmp.Diff(want, said()); diff != "" {
			t.Errorf("first lines (-want +got):\n%s", diff)
		}
		// A stream that stays open keeps its limits: ten lines to a file.
		r, w := io.Pipe()
		if err := sink.Add("ntp", servicelog.Stderr, r, servicelog.Limits{MaxBytes: 420, Files: 4}); err != nil {
			t.Fatal(err)
		}
		for _, count := range []int{1, 5, 12, 25, 1} { // from no rotation to several between two looks
			say(count)
			if diff := cmp.Diff(want, said()); diff != "" {
				t.Errorf("after %d more lines (-want +got):\n%s", count, diff)
			}
		}
		w.Close()
		sink.Close(time.Minute)
		if got := names(t, dir); len(got) != 4 {
			t.Errorf("files = %q, want four: else nothing was rotated", got)
		}
	})
}

func TestFollowStartsAfterTheTail(t *testing.T) {
	dir := t.TempDir()
	_, text := numbered(0, 30)
	feed(t, dir, small, text)
	file := filepath.Join(dir, "ntp.log")
	add := func(text string) {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add("half a ")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		said := follow(ctx, t, dir, 2)
		if diff := cmp.Diff([]string{"line 0028", "line 0029"}, said()); diff != "" {
			t.Errorf("tail (-want +got):\n%s", diff)
		}
		add("line\n")
		if diff := cmp.Diff([]string{"line 0028", "line 0029", "half a line"}, said()); diff != "" {
			t.Errorf("after the rest of the line (-want +got):\n%s", diff)
		}
	})
}

func TestFollowEndsWithTheErrorOfEmit(t *testing.T) {
	dir := t.TempDir()
	feed(t, dir, small, "a\n")
	enough := errors.New("enough")
	err := servicelog.Follow(t.Context(), dir, "ntp", 1, func(servicelog.Line) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("Follow = %v, want %v", err, enough)
	}
}
