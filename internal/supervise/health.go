package supervise

import (
	"time"

	"github.com/rosteros/ros/internal/compose"
)

// firstProbe is when a new task is probed for the first time. Probes then come
// half as often each time until they come every start_interval, so that a
// service that is quick to start does not hold up those that wait for it.
const firstProbe = 200 * time.Millisecond

// idleShare is how many times as long as the last probe the pause after it is
// at least, while the task is young. Where a probe takes long, so does getting
// ready, and the probes of ten services would take the processor away from it.
const idleShare = 4

// defaultStartInterval stands in for a healthcheck without start_interval.
const defaultStartInterval = time.Second

// health counts the probes of one task. It does not probe.
//
// A task that has not passed yet is young for start_period, and at least for
// one interval: it is probed often then, and a failed probe counts for
// nothing. So no service is judged sooner than Docker would judge it, which
// sends its first probe after one interval. After that, and for ever once a
// probe has passed, it is probed every interval and only failures in a row
// count.
type health struct {
	check    compose.Healthcheck
	since    time.Time     // when the task was started or adopted
	cost     time.Duration // of the last probe
	passed   bool          // at least once
	probes   int
	failures int // in a row
}

func newHealth(check compose.Healthcheck, now time.Time) *health {
	if check.StartInterval <= 0 {
		check.StartInterval = defaultStartInterval
	}
	check.Retries = max(check.Retries, 1)
	return &health{check: check, since: now}
}

func (h *health) young(now time.Time) bool {
	return !h.passed && now.Sub(h.since) < max(h.check.StartPeriod, h.check.Interval)
}

// next is the time until the next probe.
func (h *health) next(now time.Time) time.Duration {
	if !h.young(now) {
		return h.check.Interval
	}
	quick := min(firstProbe<<min(h.probes, 16), h.check.StartInterval)
	return min(max(quick, idleShare*h.cost), h.check.Interval)
}

func (h *health) pass() {
	h.probes++
	h.passed = true
	h.failures = 0
}

func (h *health) fail(now time.Time) {
	h.probes++
	if !h.young(now) {
		h.failures++
	}
}

// unhealthy says whether the service has to be called so.
func (h *health) unhealthy() bool { return h.failures >= h.check.Retries }

// hopeless says whether it has been unhealthy for as long again as it took to
// become so: nobody stands next to the host to restart it, so we do.
func (h *health) hopeless() bool { return h.failures >= 2*h.check.Retries }
