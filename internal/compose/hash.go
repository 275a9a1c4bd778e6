package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// DefinitionHash identifies what a container is made from: two services with
// the same hash can use the same container, and a change of the hash means
// that the container has to be made anew.
//
// Left out is what rosd itself acts on, now or from the next start, with the
// container there is: where the file is, scope, required, the reason for privileged,
// pull_policy, depends_on, healthcheck, restart, stop_signal and stop_grace_period. The
// bounds of the log are part of it: they are given to the log's writer when
// the task starts and stay with it.
func DefinitionHash(s Service) string {
	s.File, s.Line, s.Scope, s.Required, s.PrivilegedWhy = "", 0, "", false, ""
	s.StartLast, s.ReloadConfig, s.PullPolicy = false, false, PullMissing
	s.DependsOn, s.Healthcheck, s.Restart = nil, nil, Restart{}
	s.StopSignal, s.StopGracePeriod = "", 0
	// Maps are written sorted by key, so the text is the same every time.
	text, err := json.Marshal(s)
	if err != nil {
		// Only types that JSON cannot hold fail, and Service has none; a NaN
		// among the CPUs is refused when the file is read.
		panic("internal error: cannot write a service as JSON: " + err.Error())
	}
	for _, f := range s.Files { // JSON does not have what they say
		sum := sha256.Sum256(f.Text)
		text = append(text, sum[:]...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
