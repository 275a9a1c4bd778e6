package crontab_test

import (
	"testing"
	"time"

	"github.com/rosteros/ros/internal/crontab"
)

const layout = "2006-01-02 15:04:05"

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(layout, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestNext(t *testing.T) {
	for _, tt := range []struct{ schedule, after, want string }{
		{"*/10 * * * * *", "2026-01-02 03:04:05", "2026-01-02 03:04:10"},
		{"*/10 * * * * *", "2026-01-02 03:04:50", "2026-01-02 03:05:00"},
		{"@hourly", "2026-01-02 03:00:00", "2026-01-02 04:00:00"},
		{"@daily", "2026-12-31 23:59:59", "2027-01-01 00:00:00"},
		{"@monthly", "2026-01-31 01:00:00", "2026-02-01 00:00:00"},
		{"@yearly", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
		{"@weekly", "2026-01-02 00:00:00", "2026-01-04 00:00:00"}, // a Sunday
		{"@every 90s", "2026-01-02 03:04:05", "2026-01-02 03:05:35"},
		{"30 4 * * *", "2026-01-02 03:04:05", "2026-01-02 04:30:00"}, // five fields
		{"0 30 4 * * mon-fri", "2026-01-02 05:00:00", "2026-01-05 04:30:00"},
		{"0 0 0 13 * 5", "2026-01-02 00:00:00", "2026-01-09 00:00:00"}, // the 13th, and Fridays
		{"0 0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
		{"0 0 0 ? 12 7", "2026-01-01 00:00:00", "2026-12-06 00:00:00"},
		{"0 0 12-20/4,9 * * *", "2026-01-01 10:00:00", "2026-01-01 12:00:00"},
		{"0 0 0 31 2 *", "2026-01-01 00:00:00", ""},
	} {
		s, err := crontab.Parse(tt.schedule)
		if err != nil {
			t.Error(err)
			continue
		}
		got := s.Next(at(t, tt.after))
		if tt.want == "" && !got.IsZero() || tt.want != "" && !got.Equal(at(t, tt.want)) {
			t.Errorf("Next of %q after %s = %s, want %s", tt.schedule, tt.after, got.Format(layout), tt.want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                 `cannot read schedule "": it has 0 fields; there are six (seconds first) or five`,
		"* * *":            `cannot read schedule "* * *": it has 3 fields; there are six (seconds first) or five`,
		"60 * * * * *":     `cannot read schedule "60 * * * * *": second: "60" is not from 0 to 59`,
		"0 0 0 0 * *":      `cannot read schedule "0 0 0 0 * *": day: "0" is not from 1 to 31`,
		"*/0 * * * * *":    `cannot read schedule "*/0 * * * * *": second: "0" is no step`,
		"0 0 20-8 * * *":   `cannot read schedule "0 0 20-8 * * *": hour: "20-8" ends before it begins`,
		"0 0 0 * * sunday": `cannot read schedule "0 0 0 * * sunday": weekday: "sunday" is not from 0 to 7`,
		"@noon":            `cannot read schedule "@noon": @noon is not one of @yearly, @monthly, @weekly, @daily, @hourly, @every`,
		"@every 5ms":       `cannot read schedule "@every 5ms": it is less than a second`,
	} {
		if _, err := crontab.Parse(text); err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %v, want %s", text, err, want)
		}
	}
}
