package supervise_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// TestLife is the specification of the state machine: definitions, how the
// runs go, what operators do, and every change of state that follows.
func TestLife(t *testing.T) {
	type defs = []supervise.Definition
	type runs = map[string][]run
	for _, tt := range []struct {
		name   string
		defs   defs
		runs   runs
		steps  []step
		length time.Duration // 0: a minute
		want   string
	}{
		{
			name: "a service without a healthcheck runs",
			defs: defs{service("cron")},
			runs: runs{"cron": {{takes: 30 * time.Millisecond}}},
			want: `
				0s cron starting
				30ms cron running`,
		},
		{
			name: "a one-shot that ends with 0 is done",
			defs: defs{service("coldplug", once)},
			runs: runs{"coldplug": {{ends: 2 * time.Second}}},
			want: `
				0s coldplug starting
				0s coldplug running
				2s coldplug done`,
		},
		{
			name: "a one-shot that ends with another code has failed, and says its last words",
			defs: defs{service("coldplug", once)},
			runs: runs{"coldplug": {{ends: 2 * time.Second, code: 3}}},
			want: `
				0s coldplug starting
				0s coldplug running
				2.05s coldplug failed: exited with code 3: last words of coldplug`,
		},
		{
			name: "on-failure tries again, as often as it says",
			defs: defs{service("keys", onFailure(2))},
			runs: runs{"keys": {{ends: time.Second, code: 1}}},
			want: `
				0s keys starting
				0s keys running
				1.05s keys backoff: exited with code 1: last words of keys
				1.15s keys starting
				1.15s keys running
				2.2s keys backoff: exited with code 1: last words of keys
				2.4s keys starting
				2.4s keys running
				3.45s keys failed: exited with code 1: last words of keys (given up after 2 restarts)`,
		},
		{
			name: "backoff doubles, and a long run sets it back",
			defs: defs{service("ntp")},
			runs: runs{"ntp": {{ends: time.Second}, {ends: time.Second}, {ends: 20 * time.Second}, {}}},
			want: `
				0s ntp starting
				0s ntp running
				1s ntp backoff: exited with code 0
				1.1s ntp starting
				1.1s ntp running
				2.1s ntp backoff: exited with code 0
				2.3s ntp starting
				2.3s ntp running
				22.3s ntp backoff: exited with code 0
				22.4s ntp starting
				22.4s ntp running`,
		},
		{
			name: "a dependant waits until its dependency is healthy, which is seen soon",
			defs: defs{service("network", checked), service("ssh", after("network", compose.Healthy))},
			runs: runs{"network": {{healthy: 500 * time.Millisecond}}},
			want: `
				0s network starting
				600ms network healthy
				600ms ssh starting
				600ms ssh running`,
		},
		{
			name: "service_started is satisfied before the first probe",
			defs: defs{service("udev", checked), service("syslog", after("udev", compose.Started))},
			runs: runs{"udev": {{takes: time.Second, healthy: 300 * time.Millisecond}}},
			want: `
				0s udev starting
				1s syslog starting
				1s syslog running
				1.6s udev healthy`,
		},
		{
			name: "service_completed_successfully waits for the end",
			defs: defs{service("coldplug", once), service("network", after("coldplug", compose.Completed))},
			runs: runs{"coldplug": {{ends: time.Second}}},
			want: `
				0s coldplug starting
				0s coldplug running
				1s coldplug done
				1s network starting
				1s network running`,
		},
		{
			name: "a dependant of a failed service fails, and starts when that recovers",
			defs: defs{service("keys", once), service("ssh", after("keys", compose.Completed)), service("audit", after("ssh", compose.Started))},
			runs: runs{"keys": {{ends: time.Second, code: 1}, {ends: time.Second}}},
			steps: []step{
				{5 * time.Second, does(supervise.Start, "keys")},
			},
			want: `
				0s keys starting
				0s keys running
				1.05s audit failed: depends on ssh, which failed: depends on keys, which failed: exited with code 1: last words of keys
				1.05s keys failed: exited with code 1: last words of keys
				1.05s ssh failed: depends on keys, which failed: exited with code 1: last words of keys
				5s audit waiting
				5s keys waiting
				5s keys starting
				5s keys running
				5s ssh waiting
				6s audit starting
				6s audit running
				6s keys done
				6s ssh starting
				6s ssh running`,
		},
		{
			name: "an optional dependency that failed, limps or is missing is gone without",
			defs: defs{
				service("keys", once), service("flaky"),
				service("ssh", after("flaky", compose.Healthy), ifPossible, after("keys", compose.Completed), ifPossible, after("nis", compose.Started), ifPossible),
			},
			runs: runs{
				"keys":  {{takes: 2 * time.Second, err: supervise.Permanent(errors.New(`no image "ros/keys"`))}},
				"flaky": {{ends: 3 * time.Second, code: 1}, {}},
			},
			want: `
				0s flaky starting
				0s flaky running
				0s keys starting
				2s keys failed: no image "ros/keys"
				2s ssh starting
				2s ssh running
				3.05s flaky backoff: exited with code 1: last words of flaky
				3.15s flaky starting
				3.15s flaky running`,
		},
		{
			name: "a dependency that does not exist is a failure",
			defs: defs{service("ssh", after("network", compose.Started))},
			want: `
				0s ssh failed: depends on network, which does not exist`,
		},
		{
			name: "a service with a fault in its file has failed, and so have its dependants",
			defs: defs{
				{Service: compose.Service{Name: "network"}, Fault: `network.yml:3: services.network.imagee: unknown key`},
				service("ssh", after("network", compose.Started)), service("cron"),
			},
			want: `
				0s cron starting
				0s cron running
				0s network failed: network.yml:3: services.network.imagee: unknown key
				0s ssh failed: depends on network, which failed: network.yml:3: services.network.imagee: unknown key`,
		},
		{
			name: "an error of the start is a run that failed",
			defs: defs{service("ntp"), service("keys", once)},
			runs: runs{
				"ntp":  {{err: errors.New("mount: no such device")}, {}},
				"keys": {{err: errors.New("mount: no such device")}},
			},
			want: `
				0s keys starting
				0s keys failed: mount: no such device
				0s ntp starting
				0s ntp backoff: mount: no such device
				100ms ntp starting
				100ms ntp running`,
		},
		{
			name: "containerd being down is waited for and is no restart",
			defs: defs{service("ntp")},
			runs: runs{"ntp": {{ends: 5 * time.Second}, {}}},
			steps: []step{
				{4 * time.Second, containerd(false)},
				{19900 * time.Millisecond, containerd(true)},
			},
			want: `
				0s ntp starting
				0s ntp running
				5s ntp backoff: exited with code 0
				5.1s ntp starting
				20s ntp running`,
		},
		{
			name:   "only failures in a row count",
			defs:   defs{service("docker", checked)},
			runs:   runs{"docker": {{sick: 25 * time.Second, passes: 3}}},
			length: 10 * time.Minute,
			want: `
				0s docker starting
				200ms docker healthy`,
		},
		{
			name: "the answer to a probe of an earlier run counts for nothing",
			defs: defs{service("docker", checked)},
			runs: runs{"docker": {{ends: time.Second, probing: 3 * time.Second}, {takes: time.Second, probing: 10 * time.Second}}},
			want: `
				0s docker starting
				1s docker backoff: exited with code 0
				1.1s docker starting
				12.3s docker healthy`,
		},
		{
			name:   "an unhealthy service gets well again",
			defs:   defs{service("docker", checked)},
			runs:   runs{"docker": {{sick: 25 * time.Second, passes: 8}}},
			length: 75 * time.Second,
			want: `
				0s docker starting
				200ms docker healthy
				50.2s docker unhealthy: healthcheck failed 3 times: exited with code 1: no answer
				1m10.2s docker healthy`,
		},
		{
			name:   "an unhealthy service is restarted after as many failures again",
			defs:   defs{service("docker", checked)},
			runs:   runs{"docker": {{sick: 25 * time.Second}, {}}},
			length: 2 * time.Minute,
			want: `
				0s docker starting
				200ms docker healthy
				50.2s docker unhealthy: healthcheck failed 3 times: exited with code 1: no answer
				1m20.2s docker stopping: healthcheck failed 6 times: exited with code 1: no answer
				1m20.2s docker backoff: healthcheck failed 6 times: exited with code 1: no answer
				1m20.3s docker starting
				1m20.5s docker healthy`,
		},
		{
			name:   "a young service is not judged before its interval has passed once",
			defs:   defs{service("docker", checked)},
			runs:   runs{"docker": {{healthy: 25 * time.Second}}},
			length: time.Minute,
			want: `
				0s docker starting
				30.4s docker healthy`,
		},
		{
			name:  "what an operator stops stays stopped",
			defs:  defs{service("ntp")},
			runs:  runs{"ntp": {{stopping: 2 * time.Second}}},
			steps: []step{{5 * time.Second, does(supervise.Stop, "ntp")}},
			want: `
				0s ntp starting
				0s ntp running
				5s ntp stopping
				7s ntp stopped`,
		},
		{
			name:  "what does not stop is killed after its grace period",
			defs:  defs{service("docker", grace(15*time.Second))},
			runs:  runs{"docker": {{deaf: true}}},
			steps: []step{{5 * time.Second, does(supervise.Stop, "docker")}},
			want: `
				0s docker starting
				0s docker running
				5s docker stopping
				20s docker stopped`,
		},
		{
			name:  "a service that is being created can be stopped",
			defs:  defs{service("ntp")},
			runs:  runs{"ntp": {{takes: 10 * time.Second}}},
			steps: []step{{5 * time.Second, does(supervise.Stop, "ntp")}},
			want: `
				0s ntp starting
				5s ntp stopping
				5s ntp stopped`,
		},
		{
			name:  "a service that waits for containerd can be stopped",
			defs:  defs{service("ntp")},
			runs:  runs{"ntp": {{err: errDown}}},
			steps: []step{{5 * time.Second, does(supervise.Stop, "ntp")}},
			want: `
				0s ntp starting
				5s ntp stopping
				5s ntp stopped`,
		},
		{
			name: "start while stopping starts again afterwards",
			defs: defs{service("ntp")},
			runs: runs{"ntp": {{stopping: 3 * time.Second}}},
			steps: []step{
				{5 * time.Second, does(supervise.Stop, "ntp")},
				{6 * time.Second, does(supervise.Start, "ntp")},
			},
			want: `
				0s ntp starting
				0s ntp running
				5s ntp stopping
				8s ntp waiting
				8s ntp starting
				8s ntp running`,
		},
		{
			name: "restart leaves dependants alone, except those that ask for it",
			defs: defs{
				service("network", checked), service("ssh", after("network", compose.Healthy)),
				service("dhcp", after("network", compose.Healthy), restartWith),
			},
			steps: []step{{5 * time.Second, does(supervise.Restart, "network")}},
			want: `
				0s network starting
				200ms dhcp starting
				200ms dhcp running
				200ms network healthy
				200ms ssh starting
				200ms ssh running
				5s dhcp stopping
				5s dhcp waiting
				5s network stopping
				5s network waiting
				5s network starting
				5.2s dhcp starting
				5.2s dhcp running
				5.2s network healthy`,
		},
		{
			name:  "who is in the network of a service starts anew whenever that does",
			defs:  defs{service("web"), service("spy", after("web", compose.Started), inItsNetwork), service("other", after("web", compose.Started))},
			steps: []step{{5 * time.Second, does(supervise.Kill, "web")}, {9 * time.Second, does(supervise.Restart, "web")}},
			want: `
				0s other starting
				0s other running
				0s spy starting
				0s spy running
				0s web starting
				0s web running
				5.05s web backoff: killed by SIGKILL: last words of web
				5.15s spy stopping
				5.15s spy waiting
				5.15s spy starting
				5.15s spy running
				5.15s web starting
				5.15s web running
				9s spy stopping
				9s spy waiting
				9s spy starting
				9s spy running
				9s web stopping
				9s web waiting
				9s web starting
				9s web running`,
		},
		{
			name: "a killed service follows its policy",
			defs: defs{service("ntp"), service("job", once)},
			steps: []step{
				{5 * time.Second, does(supervise.Kill, "ntp")},
				{5 * time.Second, does(supervise.Kill, "job")},
			},
			want: `
				0s job starting
				0s job running
				0s ntp starting
				0s ntp running
				5.05s job failed: killed by SIGKILL: last words of job
				5.05s ntp backoff: killed by SIGKILL: last words of ntp
				5.15s ntp starting
				5.15s ntp running`,
		},
		{
			name: "start ends a backoff at once and forgets earlier failures",
			defs: defs{service("ntp")},
			runs: runs{"ntp": {{err: errors.New("x")}, {err: errors.New("x")}, {err: errors.New("x")}, {err: errors.New("x")}, {err: errors.New("y")}, {}}},
			steps: []step{
				{time.Second, does(supervise.Start, "ntp")},
			},
			want: `
				0s ntp starting
				0s ntp backoff: x
				100ms ntp starting
				100ms ntp backoff: x
				300ms ntp starting
				300ms ntp backoff: x
				700ms ntp starting
				700ms ntp backoff: x
				1s ntp waiting
				1s ntp starting
				1s ntp backoff: y
				1.1s ntp starting
				1.1s ntp running`,
		},
		{
			name: "up makes a changed service anew and leaves others alone",
			defs: defs{service("ntp"), service("cron"), service("coldplug", once)},
			runs: runs{"coldplug": {{ends: time.Second}}},
			steps: []step{
				{5 * time.Second, func(r *rig) {
					r.sup.Reload([]supervise.Definition{service("ntp", command("chronyd", "-d")), service("cron"), service("coldplug", once)})
				}},
				{6 * time.Second, does(supervise.Up, "ntp")},
				{6 * time.Second, does(supervise.Up, "cron")},
				{6 * time.Second, does(supervise.Up, "coldplug")},
				{7 * time.Second, does(supervise.Up, "ntp")},
			},
			want: `
				0s coldplug starting
				0s coldplug running
				0s cron starting
				0s cron running
				0s ntp starting
				0s ntp running
				1s coldplug done
				6s ntp stopping
				6s ntp waiting
				6s ntp starting
				6s ntp running`,
		},
		{
			name: "reload starts nothing and stops nothing",
			defs: defs{service("ntp"), service("cron"), {Service: compose.Service{Name: "ssh"}, Fault: "ssh.yml:1: bad"}},
			steps: []step{
				{5 * time.Second, func(r *rig) {
					r.sup.Reload([]supervise.Definition{
						{Service: compose.Service{Name: "cron"}, Fault: "cron.yml:1: bad"}, service("ssh"), service("new"),
					})
				}},
				{6 * time.Second, does(supervise.Up, "new")},
				{7 * time.Second, does(supervise.Kill, "cron")}, // comes back as it was
				{8 * time.Second, does(supervise.Stop, "ntp")},  // has no file: nothing is left of it
			},
			want: `
				0s cron starting
				0s cron running
				0s ntp starting
				0s ntp running
				0s ssh failed: ssh.yml:1: bad
				5s ssh stopped
				6s new waiting
				6s new starting
				6s new running
				7.05s cron backoff: killed by SIGKILL: last words of cron
				7.15s cron starting
				7.15s cron running: runs, but its file cannot be used: cron.yml:1: bad
				8s ntp stopping
				8s ntp stopped`,
		},
		{
			name: "a shutdown stops dependants first and the rest at once",
			defs: defs{
				service("network"), service("docker", after("network", compose.Started)),
				service("agent", after("docker", compose.Started)), service("cron"), service("idle", after("never", compose.Started), ifPossible, after("job", compose.Completed)),
				service("job", once),
			},
			runs: runs{"docker": {{stopping: 3 * time.Second}}, "agent": {{stopping: time.Second}}},
			steps: []step{
				{5 * time.Second, func(r *rig) {
					if err := r.sup.Shutdown(r.t.Context()); err != nil {
						r.t.Errorf("Shutdown() error = %v", err)
					}
				}},
			},
			want: `
				0s agent starting
				0s agent running
				0s cron starting
				0s cron running
				0s docker starting
				0s docker running
				0s job starting
				0s job running
				0s network starting
				0s network running
				5s agent stopping
				5s cron stopping
				5s cron stopped
				5s idle stopped
				5s job stopping
				5s job stopped
				6s agent stopped
				6s docker stopping
				9s docker stopped
				9s network stopping
				9s network stopped`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := start(t, dir, newRoom(tt.runs), tt.defs...)
				for _, s := range tt.steps {
					time.Sleep(s.at - time.Since(r.begin))
					s.what(r)
				}
				if tt.length == 0 {
					tt.length = time.Minute
				}
				time.Sleep(tt.length - time.Since(r.begin))
				if diff := cmp.Diff(unindent(tt.want), r.story()); diff != "" {
					t.Errorf("story (-want +got):\n%s", diff)
				}
				r.end()
			})
		})
	}
}
