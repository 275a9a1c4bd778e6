package supervise

import (
	"fmt"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/plan"
)

// verdict says whether a service may start. At most one field is set; none
// means it may.
type verdict struct {
	failed   string   // it cannot, and why
	waitsFor []string // not yet
}

// judge looks at the dependencies of a service, given what is known about the
// others. known is false for a service that does not exist.
//
// A dependency with required: false is waited for while it is on its way up.
// Once it is in trouble of any kind, its dependant goes on without it.
func judge(deps []compose.Dependency, look func(name string) (other view, known bool)) verdict {
	var v verdict
	for _, dep := range deps {
		other, known := look(dep.Service)
		trouble := ""
		switch {
		case !known:
			trouble = "does not exist"
		case met(dep.Condition, other):
			continue
		case other.State == Failed:
			trouble = "failed: " + other.Reason
		case dep.Condition == compose.Healthy && !other.checked:
			trouble = "has no healthcheck and so never is healthy"
		case dep.Condition == compose.Healthy && other.State == Done:
			trouble = "ended and so never is healthy"
		case dep.Condition == compose.Completed && !other.OneShot:
			trouble = "is restarted when it ends and so never is done"
		}
		switch {
		case !dep.Required && (trouble != "" || limps(other.State)):
			continue
		case trouble != "":
			return verdict{failed: fmt.Sprintf("depends on %s, which %s", dep.Service, trouble)}
		}
		v.waitsFor = append(v.waitsFor, waitText(dep, other.State))
	}
	return v
}

func met(condition compose.Condition, other view) bool {
	if lost(other.task) { // it does not know yet
		return false
	}
	switch condition {
	case compose.Completed:
		return other.State == Done
	case compose.Healthy:
		return other.State == Healthy
	default: // compose.Started
		switch other.State {
		case Running, Healthy, Unhealthy, Done:
			return true
		case Starting:
			return other.Pid != 0 // up, but not found healthy yet
		}
		return false
	}
}

// limps says whether a service is in a state that an optional dependant need
// not wait for: it may come back, but not by itself or not soon.
func limps(s State) bool {
	switch s {
	case Unhealthy, Backoff, Stopped:
		return true
	}
	return false
}

// waitText says what is waited for, as "network to be healthy".
func waitText(dep compose.Dependency, state State) string {
	if state == Stopped {
		return plan.Words(dep) + " (it is stopped)"
	}
	return plan.Words(dep)
}
