package main

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/supervise"
)

// TestSettleInATrial: at once, since the boot loader may not have counted it.
func TestSettleInATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{began: time.Now()}
		s.set("ssh", supervise.Healthy, 0)
		var told []time.Duration
		tell := func(slots.Running) {}
		watchSlots(t.Context(), slots.Running{Slot: slots.B, Trial: true}, s.trial(&told), tell, slog.New(slog.DiscardHandler))
		if got, want := strings.Join(s.said, "\n"), "0s settle\n2m1s commit"; got != want {
			t.Errorf("it came to\n%s\nwant\n%s", got, want)
		}
	})
}
