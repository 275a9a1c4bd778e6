// Package maintenance says when a machine may do by itself what disturbs: in
// which window, and at which moment of a spread, so that not all machines of a
// fleet do it at once. It is pure; who waits is rosd.
package maintenance

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Window is a time of day, on some days of the week or on all, in which a
// machine may restart for an upgrade. The zero Window is always open.
type Window struct {
	days       []time.Weekday // nil: every day; of the day on which it opens
	open, shut time.Duration  // since midnight; shut before open: on the next day
	bounded    bool
}

// ParseWindow reads rancher.upgrade.window: "", "02:00-04:00" or "Sat,Sun
// 22:00-05:00".
func ParseWindow(text string) (Window, error) {
	if text == "" {
		return Window{}, nil
	}
	fault := fmt.Errorf("rancher.upgrade.window %q is not a window: want 02:00-04:00, or Sat,Sun 22:00-05:00", text)
	fields := strings.Fields(text)
	w := Window{bounded: true}
	switch len(fields) {
	case 1:
	case 2:
		for name := range strings.SplitSeq(fields[0], ",") {
			day := slices.Index(weekdays, name)
			if day < 0 {
				return Window{}, fault
			}
			w.days = append(w.days, time.Weekday(day))
		}
	default:
		return Window{}, fault
	}
	from, to, _ := strings.Cut(fields[len(fields)-1], "-")
	var err error
	if w.open, err = sinceMidnight(from); err != nil {
		return Window{}, fault
	}
	if w.shut, err = sinceMidnight(to); err != nil {
		return Window{}, fault
	}
	return w, nil
}

// weekdays are the names that time.Weekday has, short, in its order.
var weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

func sinceMidnight(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err
}

// reserve is what stays of a window behind the last turn in it: whoever's turn
// it is has something to do before the window shuts.
const reserve = 10 * time.Minute

// Turn is when a machine with this offset may do next what the window is for: t
// itself while the window is open and the offset behind its opening has passed.
// An offset beyond the window wraps around in it, so that every machine has a
// turn in every window. Without a window it is always everybody's turn.
func (w Window) Turn(t time.Time, offset time.Duration) time.Time {
	if !w.bounded {
		return t
	}
	// A window that began yesterday may still be open; a week has every day, and
	// on one of them the clocks may leave the window out.
	for day := -1; day <= 14; day++ {
		from, to := w.on(t.AddDate(0, 0, day))
		if !w.opensOn(from.Weekday()) || !t.Before(to) || !from.Before(to) {
			continue
		}
		turn := from.Add(within(offset, to.Sub(from)))
		if t.Before(turn) {
			return turn
		}
		return t
	}
	return t // not reached
}

// within is an offset in a window of that length.
func within(offset, length time.Duration) time.Duration {
	return offset % (length - min(reserve, length/4))
}

// on is the window that opens on the day of t. Days are counted by the
// calendar, so that 02:00 stays 02:00 when the clocks change.
func (w Window) on(t time.Time) (from, to time.Time) {
	at := func(day int, d time.Duration) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day()+day, int(d/time.Hour), int(d%time.Hour/time.Minute), 0, 0, t.Location())
	}
	if w.shut <= w.open {
		return at(0, w.open), at(1, w.shut)
	}
	return at(0, w.open), at(0, w.shut)
}

func (w Window) opensOn(day time.Weekday) bool { return w.days == nil || slices.Contains(w.days, day) }

// Jitter is this machine's share of the spread: the same for the same machine
// and release, evenly distributed over machines.
func Jitter(machineID, digest string, spread time.Duration) time.Duration {
	if spread <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(machineID + " " + digest)) // never fails
	return time.Duration(h.Sum64() % uint64(spread))
}
