package repo_test

import (
	"regexp"
	"strings"
	"testing"
)

// A direct dependency without a reason in docs/dependencies.md is one that
// nobody decided on; a reason without a dependency is a leftover.
func TestDependenciesHaveReasons(t *testing.T) {
	mod := string(file(t, "go.mod").Text)
	reasons := string(file(t, "docs/dependencies.md").Text)
	direct := map[string]bool{}
	for line := range strings.Lines(mod) {
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			direct[fields[0]] = true
		}
	}
	for module := range direct {
		if !strings.Contains(reasons, "`"+module+"`") {
			t.Errorf("docs/dependencies.md has no reason for %s", module)
		}
	}
	table, _, _ := strings.Cut(reasons, "## Programs")
	for _, m := range regexp.MustCompile("`([a-z.]+/[^`]+)`").FindAllStringSubmatch(table, -1) {
		tool := strings.Contains(mod, "tool "+m[1]+"/")
		if strings.Contains(m[1], ".") && !strings.HasPrefix(m[1], "internal/") && !direct[m[1]] && !tool {
			t.Errorf("docs/dependencies.md gives a reason for %s, which go.mod does not have", m[1])
		}
	}
}
