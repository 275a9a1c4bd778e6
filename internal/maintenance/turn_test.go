package maintenance_test

import (
	"testing"
	"time"

	"github.com/rosteros/ros/internal/maintenance"
)

// TestTurns: within one window every machine has a turn of its own, and there
// is time left behind the last of them.
func TestTurns(t *testing.T) {
	for window, length := range map[string]time.Duration{"05:00-06:00": time.Hour, "22:00-05:00": 7 * time.Hour, "05:00-05:04": 4 * time.Minute} {
		w, err := maintenance.ParseWindow(window)
		if err != nil {
			t.Fatal(err)
		}
		noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		opens := w.Turn(noon, 0)
		seen := map[time.Time]bool{}
		for _, id := range []string{"a", "b", "c", "d"} {
			offset := maintenance.Jitter(id, "sha256:2", 24*time.Hour)
			turn := w.Turn(noon, offset)
			if into := turn.Sub(opens); into < 0 || into >= length-min(10*time.Minute, length/4) {
				t.Errorf("%s: the turn of %s is %s into the window", window, id, into)
			}
			if w.Turn(turn.Add(-time.Second), offset) != turn || !w.Turn(turn, offset).Equal(turn) || w.Turn(turn.Add(time.Second), offset) != turn.Add(time.Second) {
				t.Errorf("%s: the turn of %s is %v, but not a second before, at, or a second after it", window, id, turn)
			}
			seen[turn] = true
		}
		if len(seen) != 4 {
			t.Errorf("%s: four machines have %d turns", window, len(seen))
		}
	}
}
