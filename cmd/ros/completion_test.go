package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompletionScript(t *testing.T) {
	got := newApp(t, nil).try("ros completion bash")
	if got.code != 0 || got.err != "" {
		t.Fatalf("ros completion bash ends with %d, %q", got.code, got.err)
	}
	golden(t, "testdata/completion.bash", got.out)
}

// The script does in bash what it is for. "ros" is a function here that knows
// three services.
func TestCompletionInBash(t *testing.T) {
	script := filepath.Join(t.TempDir(), "ros")
	if err := os.WriteFile(script, []byte(newApp(t, nil).try("ros completion bash").out), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ line, want string }{
		{"ros st", "status"},
		{"ros s", "status service shutdown"},
		{"ros service re", "restart"},
		{"ros s pl", "plan"},
		{"ros service stop n", "network ntp"},
		{"ros service stop -t 3 ntp net", "network"},
		{"ros service stop --t", "--timeout"},
		{"ros service stop -t ", ""},
		{"ros service logs -f sys", "syslog"},
		{"ros os vers", "version"},
		{"ros service enable ", "nfs open-iscsi old"},
		{"ros service enable n", "nfs"},
		{"ros service disable ", "shop"},
		{"ros service delete ", "shop old"},
		{"ros service update ", "shop old"},
		{"ros service update --dry-run s", "shop"},
		{"ros service pull n", "network ntp"},
		{"ros engine create n", ""},
		{"ros engine rm b", "builds"},
		{"ros engine switch d", "docker docker-debian"},
		{"ros completion ", "bash"},
		{"ros service ps --j", "--json"},
		{"ros poweroff --f", "--force"},
		{"ros c sh", "show"},
		{"ros config get hostn", "hostname"},
		{"ros config set rancher.network.dns.", "rancher.network.dns.nameservers rancher.network.dns.search"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			words := strings.Split(tt.line, " ")
			out, err := exec.Command("bash", append([]string{"-c", `
				ros() {
					case "$*" in
					"service ps -q") printf '%s\n' network ntp syslog ;;
					"service list --all") printf '%s\n' "STATE NAME REPOSITORY SIGNED_BY FROM" "disabled nfs core - -" "enabled shop - - https://x" "disabled open-iscsi core - -" "disabled old - - /opt/old.yml" ;;
					"engine list -q") printf '%s\n' docker docker-debian none builds ;;
					esac
				}
				source "$1"; shift
				COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
				_ros
				echo "${COMPREPLY[*]}"`, "bash", script}, words...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := strings.TrimSpace(string(out)); got != tt.want {
				t.Errorf("%q completes to %q, want %q", tt.line, got, tt.want)
			}
		})
	}
}
