package blockdev

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// anyNumber: the last look and the end come at the same moment.
const anyNumber = -1

func TestWait(t *testing.T) {
	missing := func() (Device, error) { return Device{}, ErrNotFound }
	for _, tt := range []struct {
		name        string
		find        func(after time.Duration, changes int) (Device, error)
		eventAt     time.Duration
		wantErr     string
		wantAfter   time.Duration
		wantChanges int
	}{
		{
			name:      "by polling, when no event comes",
			find:      func(after time.Duration, _ int) (Device, error) { return when(after >= 1200*time.Millisecond) },
			wantAfter: 1500 * time.Millisecond, wantChanges: 4,
		},
		{
			name:        "at once, when the device's driver is missing and its event was before",
			find:        func(_ time.Duration, changes int) (Device, error) { return when(changes > 0) },
			wantChanges: 1,
		},
		{
			name:        "at once with an event, after the change was looked into",
			find:        func(_ time.Duration, changes int) (Device, error) { return when(changes > 2) },
			eventAt:     600 * time.Millisecond,
			wantAfter:   600 * time.Millisecond,
			wantChanges: 3,
		},
		{
			name:      "not for ever",
			find:      func(time.Duration, int) (Device, error) { return missing() },
			wantErr:   "no such device (waited 10s)",
			wantAfter: 10 * time.Second, wantChanges: anyNumber,
		},
		{
			name:    "not at all when the question is wrong",
			find:    func(time.Duration, int) (Device, error) { return Device{}, errors.New("nonsense") },
			wantErr: "nonsense",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start, changes := time.Now(), 0
				events := make(chan struct{}, 1)
				if tt.eventAt > 0 {
					time.AfterFunc(tt.eventAt, func() { events <- struct{}{} })
				}
				_, err := wait(ctx, func() (Device, error) { return tt.find(time.Since(start), changes) }, events, func() { changes++ })
				if got := text(err); got != tt.wantErr {
					t.Errorf("wait() = %q, want %q", got, tt.wantErr)
				}
				if after := time.Since(start); after != tt.wantAfter || changes != tt.wantChanges && tt.wantChanges != anyNumber {
					t.Errorf("wait() took %v and looked into %d changes, want %v and %d", after, changes, tt.wantAfter, tt.wantChanges)
				}
			})
		})
	}
}

func when(there bool) (Device, error) {
	if there {
		return Device{Name: "sda"}, nil
	}
	return Device{}, ErrNotFound
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
