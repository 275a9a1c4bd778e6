package maintenance_test

import (
	"testing"
	"time"
	_ "time/tzdata" // not every machine has them

	"github.com/rosteros/ros/internal/maintenance"
)

func TestWindow(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04", text, vienna)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	// 2026-11-25 is a Wednesday.
	for _, tt := range []struct {
		name, window, now, next string
	}{
		{"no window", "", "2026-11-25 12:00", "2026-11-25 12:00"},
		{"before it", "02:00-04:00", "2026-11-25 01:59", "2026-11-25 02:00"},
		{"at its start", "02:00-04:00", "2026-11-25 02:00", "2026-11-25 02:00"},
		{"at its end", "02:00-04:00", "2026-11-25 04:00", "2026-11-26 02:00"},
		{"over midnight, evening", "22:00-05:00", "2026-11-25 23:00", "2026-11-25 23:00"},
		{"over midnight, morning", "22:00-05:00", "2026-11-25 04:59", "2026-11-25 04:59"},
		{"over midnight, noon", "22:00-05:00", "2026-11-25 12:00", "2026-11-25 22:00"},
		{"the day it opens counts", "Sat,Sun 22:00-05:00", "2026-11-30 03:00", "2026-11-30 03:00"},
		{"not opened the day before", "Sat,Sun 22:00-05:00", "2026-11-28 03:00", "2026-11-28 22:00"},
		{"from a weekday", "Sat 10:00-11:00", "2026-11-25 10:30", "2026-11-28 10:00"},
		{"a week ahead", "Wed 10:00-11:00", "2026-11-25 12:00", "2026-12-02 10:00"},
		{"the same time twice is a whole day", "Wed 00:00-00:00", "2026-11-25 23:59", "2026-11-25 23:59"},
		{"clocks change", "02:30-04:00", "2027-03-27 12:00", "2027-03-28 02:30"},
		{"clocks leave the window out", "02:00-03:00", "2027-03-28 01:59", "2027-03-29 02:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, err := maintenance.ParseWindow(tt.window)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.Turn(at(tt.now), 0); !got.Equal(at(tt.next)) {
				t.Errorf("Turn(%s) = %v, want %s", tt.now, got, tt.next)
			}
		})
	}
}

func TestParseWindowFaults(t *testing.T) {
	for _, text := range []string{"02:00", "2-4", "25:00-26:00", "Caturday 02:00-04:00", "Sat Sun 02:00-04:00", "02:00-04:00 Sat"} {
		want := `rancher.upgrade.window "` + text + `" is not a window: want 02:00-04:00, or Sat,Sun 22:00-05:00`
		if _, err := maintenance.ParseWindow(text); err == nil || err.Error() != want {
			t.Errorf("ParseWindow(%q) error = %v, want %s", text, err, want)
		}
	}
}

func TestJitter(t *testing.T) {
	const spread = time.Hour
	seen := map[time.Duration]bool{}
	for _, id := range []string{"a", "b", "c", "d"} {
		j := maintenance.Jitter(id, "sha256:1", spread)
		if j < 0 || j >= spread {
			t.Errorf("Jitter(%s) = %v, want less than %v", id, j, spread)
		}
		if again := maintenance.Jitter(id, "sha256:1", spread); again != j {
			t.Errorf("Jitter(%s) = %v, then %v", id, j, again)
		}
		seen[j] = true
	}
	if len(seen) != 4 {
		t.Errorf("four machines have %d moments", len(seen))
	}
	if j := maintenance.Jitter("a", "b", 0); j != 0 {
		t.Errorf("Jitter without a spread = %v, want 0", j)
	}
}
