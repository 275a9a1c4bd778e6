// Package crontab reads the times of a crontab, as the labels cron.schedule of
// containers have them, and says when it is time.
//
// It runs nothing and asks no clock. The forms are those of
// rancher/container-crontab: six fields, of which the first are seconds, five
// fields as in crontab(5), @hourly and the like, and "@every 90s".
package crontab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule is when something is to be done.
type Schedule struct {
	second, minute, hour, day, month, weekday set
	anyDay, anyWeekday                        bool // the field is *: the other one alone counts
	every                                     time.Duration
}

// set has a bit for each value.
type set uint64

func (s set) has(n int) bool { return s&(1<<n) != 0 }

// field is one of the six.
type field struct {
	name     string
	min, max int
	words    []string // for min, min+1, ...
}

var fields = []field{
	{name: "second", min: 0, max: 59},
	{name: "minute", min: 0, max: 59},
	{name: "hour", min: 0, max: 23},
	{name: "day", min: 1, max: 31},
	{name: "month", min: 1, max: 12, words: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "weekday", min: 0, max: 7, words: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var named = map[string]string{
	"@yearly": "0 0 0 1 1 *", "@annually": "0 0 0 1 1 *", "@monthly": "0 0 0 1 * *",
	"@weekly": "0 0 0 * * 0", "@daily": "0 0 0 * * *", "@midnight": "0 0 0 * * *", "@hourly": "0 0 * * * *",
}

// Parse reads a schedule.
func Parse(text string) (Schedule, error) {
	s, err := parse(strings.TrimSpace(text))
	if err != nil {
		return Schedule{}, fmt.Errorf("cannot read schedule %q: %w", text, err)
	}
	return s, nil
}

func parse(text string) (Schedule, error) {
	if every, ok := strings.CutPrefix(text, "@every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(every))
		if err == nil && d < time.Second {
			err = errors.New("it is less than a second")
		}
		return Schedule{every: d}, err
	}
	if strings.HasPrefix(text, "@") {
		given := text
		if text = named[text]; text == "" {
			return Schedule{}, fmt.Errorf("%s is not one of @yearly, @monthly, @weekly, @daily, @hourly, @every", given)
		}
	}
	parts := strings.Fields(text)
	if len(parts) == 5 {
		parts = append([]string{"0"}, parts...)
	}
	if len(parts) != len(fields) {
		return Schedule{}, fmt.Errorf("it has %d fields; there are six (seconds first) or five", len(parts))
	}
	var sets [6]set
	for i, f := range fields {
		var err error
		if sets[i], err = f.parse(strings.ToLower(parts[i])); err != nil {
			return Schedule{}, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if sets[5].has(7) {
		sets[5] |= 1 // Sunday is 0 and 7
	}
	return Schedule{
		second: sets[0], minute: sets[1], hour: sets[2], day: sets[3], month: sets[4], weekday: sets[5],
		anyDay: whole(parts[3]), anyWeekday: whole(parts[5]),
	}, nil
}

func whole(part string) bool { return part == "*" || part == "?" }

// parse reads a list: "1,10-20/5,*/15".
func (f field) parse(text string) (set, error) {
	var all set
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		from, to, err := f.span(span, stepped)
		if err != nil {
			return 0, err
		}
		step := 1
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
				return 0, fmt.Errorf("%q is no step", stepText)
			}
		}
		for n := from; n <= to; n += step {
			all |= 1 << n
		}
	}
	return all, nil
}

func (f field) span(text string, stepped bool) (from, to int, err error) {
	if whole(text) {
		return f.min, f.max, nil
	}
	first, last, ranged := strings.Cut(text, "-")
	if from, err = f.value(first); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		to, err = f.value(last)
	case stepped:
		to = f.max
	default:
		to = from
	}
	if err == nil && to < from {
		err = fmt.Errorf("%q ends before it begins", text)
	}
	return from, to, err
}

func (f field) value(text string) (int, error) {
	for i, word := range f.words {
		if text == word {
			return f.min + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.min || n > f.max {
		return 0, fmt.Errorf("%q is not from %d to %d", text, f.min, f.max)
	}
	return n, nil
}

// horizon is how far ahead a time is looked for: the 29th of February may be
// eight years away.
const horizon = 9

// Next is the first time after another one; zero: never. It is in the zone of
// after.
func (s Schedule) Next(after time.Time) time.Time {
	if s.every > 0 {
		return after.Add(s.every).Truncate(time.Second)
	}
	t := after.Truncate(time.Second).Add(time.Second)
	end := t.AddDate(horizon, 0, 0)
	for t.Before(end) {
		switch {
		case !s.month.has(int(t.Month())):
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, t.Location())
		case !s.on(t):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, t.Location())
		case !s.hour.has(t.Hour()):
			// By the clock of the machine an hour may be left out or come twice.
			t = t.Truncate(time.Minute).Add(time.Duration(60-t.Minute()) * time.Minute)
		case !s.minute.has(t.Minute()):
			t = t.Add(time.Duration(60-t.Second()) * time.Second)
		case !s.second.has(t.Second()):
			t = t.Add(time.Second)
		default:
			return t
		}
	}
	return time.Time{}
}

// on says whether a day is one of the schedule: with both fields given, either
// will do, as in crontab(5).
func (s Schedule) on(t time.Time) bool {
	day, weekday := s.day.has(t.Day()), s.weekday.has(int(t.Weekday()))
	if s.anyDay || s.anyWeekday {
		return day && weekday
	}
	return day || weekday
}
