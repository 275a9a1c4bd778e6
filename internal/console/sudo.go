package console

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// everything matches a rule of sudo that lets somebody be anybody and asks for
// no password; sudo itself reads far more.
var everything = regexp.MustCompile(`^ALL\s*=\s*\(\s*ALL\s*(:\s*ALL\s*)?\)\s*NOPASSWD\s*:\s*ALL$`)

// MayBeRoot says why somebody may not use the sudo that we put into a console.
// rules are those of the config, with the name in front.
func MayBeRoot(a Account, rules []byte) error {
	if a.UID == 0 || a.Name == "rancher" {
		return nil
	}
	has := false
	for line := range strings.Lines(string(rules)) {
		name, rule, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != a.Name {
			continue
		}
		if everything.MatchString(strings.TrimSpace(rule)) {
			return nil
		}
		has = true
	}
	if has {
		return fmt.Errorf("%s has other rules than ALL=(ALL) NOPASSWD:ALL, which only the sudo of an image can read", a.Name)
	}
	return fmt.Errorf("%s is not allowed to", a.Name)
}

// secure is the PATH of what sudo runs.
const secure = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// SudoEnv are the variables of what somebody runs as root.
func SudoEnv(a Account, target string, args, env []string) []string {
	list := append(Pass(env), secure, "USER="+target, "LOGNAME="+target,
		"SUDO_USER="+a.Name, fmt.Sprintf("SUDO_UID=%d", a.UID), fmt.Sprintf("SUDO_GID=%d", a.GID), "SUDO_COMMAND="+strings.Join(args, " "))
	return slices.Clip(list)
}
