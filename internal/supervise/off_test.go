package supervise_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

func TestOff(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		off := service("ntp")
		off.Off = true
		room := newRoom(nil)
		room.setDown(true)
		r := start(t, dir, room, off, service("cron", after("ntp", compose.Started)))
		select {
		case <-r.sup.Adopted():
			t.Error("it cannot be known yet what runs")
		default:
		}
		room.setDown(false)
		time.Sleep(time.Minute)
		<-r.sup.Adopted()
		if ntp, cron := r.service("ntp"), r.service("cron"); ntp.State != supervise.Stopped || cron.State != supervise.Waiting {
			t.Errorf("ntp is %s, cron, which depends on it, is %s; want stopped, waiting", ntp.State, cron.State)
		}
		r.do(supervise.Start, "ntp", supervise.Options{})
		if ntp, cron := r.service("ntp"), r.service("cron"); ntp.State != supervise.Running || cron.State != supervise.Running {
			t.Errorf("ntp is %s, cron is %s; want both running: an operator may start it", ntp.State, cron.State)
		}
		r.end()
		second := start(t, dir, room, off)
		if ntp := second.service("ntp"); ntp.State != supervise.Running {
			t.Errorf("for the next rosd ntp is %s, want running", ntp.State)
		}
		second.end()
	})
}
