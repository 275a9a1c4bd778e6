package repo_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rosteros/ros/tests/repo"
)

// order is the tree from the ground up: a package imports only what stands
// above it. docs/architecture.md says what each is for.
var order = []string{
	"internal/cmdline",
	"internal/sshkeys",
	"internal/atomicfile",
	"internal/stateformat",
	"internal/maintenance",
	"internal/reaper",
	"internal/mounts",
	"internal/modules",
	"internal/blockdev",
	"internal/bootnote",
	"internal/verity",
	"internal/slots",
	"internal/bootloader",
	"internal/bootloader/bootloadertest",
	"internal/yamldoc",
	"internal/fetch",
	"internal/signature",
	"internal/authority",
	"internal/repository",
	"internal/delta",
	"internal/release",
	"internal/release/releasetest",
	"internal/statedisk",
	"internal/bootlog",
	"internal/initctl",
	"internal/osupdate",
	"internal/upgrade",
	"internal/servicelog",
	"internal/yamledit",
	"internal/userdata",
	"internal/datasource",
	"internal/images",
	"internal/compose",
	"internal/plan",
	"internal/project",
	"internal/project/loader",
	"config",
	"internal/configstore",
	"internal/accounts",
	"internal/console",
	"internal/apply",
	"internal/netconf",
	"internal/containerd",
	"internal/imagestore",
	"internal/preload",
	"internal/supervise",
	"internal/bridge",
	"internal/containers",
	"internal/install",
	"internal/docker",
	"internal/engine",
	"internal/catalog",
	"internal/crontab",
	"internal/control",
	"internal/control/server",
	"init",
	"cmd/osupdate",
	"cmd/rosd",
	"cmd/datasource",
	"cmd/project",
	"cmd/netconf",
	"cmd/container-cron",
	"cmd/ros",
	"cmd/forge",
	"tests/repo",
	"tests/registry",
	"tests/namespace",
	"tests/vm/qemu",
	"tests/vm/live",
	"tests/vm",
	"tests/bench",
}

// list asks go list about the packages of the tree, a line for each.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = top(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, stderr(err))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImportOrder(t *testing.T) {
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], repo.Module+"/")
		place := slices.Index(order, name)
		if place < 0 {
			t.Errorf("package %s has no place in the import order: put it into order and into docs/architecture.md", name)
			continue
		}
		for _, imported := range words[1:] {
			below, ours := strings.CutPrefix(imported, repo.Module+"/")
			if ours && slices.Index(order, below) >= place {
				t.Errorf("%s must not import %s: it stands below it", name, below)
			}
		}
	}
}

func TestArchitectureListsTheOrder(t *testing.T) {
	text := string(file(t, "docs/architecture.md").Text)
	at := 0
	for _, name := range order {
		short, internal := strings.CutPrefix(name, "internal/")
		if !internal {
			continue
		}
		row := strings.Index(text[at:], "| `"+short+"` |")
		if row < 0 {
			t.Errorf("docs/architecture.md does not list internal/%s, or not in its place", short)
			continue
		}
		at += row
	}
}

// forbidden are packages that a program must not contain, however they would
// come in.
var forbidden = []struct {
	program string
	prefix  string
	why     string
}{
	{"init", "net/http", "PID 1 stays small"},
	{"init", "github.com/", "PID 1 stays small"},
	{"init", repo.Module + "/internal/compose", "PID 1 knows no service files"},
	{"cmd/ros", "github.com/containerd/containerd/", "the operator's command talks to rosd"},
	{"cmd/ros", repo.Module + "/internal/containers", "the operator's command talks to rosd"},
}

func TestForbiddenDependencies(t *testing.T) {
	for _, f := range forbidden {
		for _, dep := range list(t, "-deps", "./"+f.program) {
			if strings.HasPrefix(dep, f.prefix) && (strings.HasPrefix(f.prefix, repo.Module) || !strings.HasPrefix(dep, repo.Module)) {
				t.Errorf("%s must not depend on %s: %s", f.program, dep, f.why)
			}
		}
	}
}

// containerdClient is what only internal/containers may talk through.
const containerdClient = "github.com/containerd/containerd/v2/client"

func TestOneImporterOfTheContainerdClient(t *testing.T) {
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		words := strings.Fields(line)
		if slices.Contains(words[1:], containerdClient) && words[0] != repo.Module+"/internal/containers" {
			t.Errorf("%s must not import the containerd client: internal/containers is there for that", words[0])
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, line := range list(t, "-f", "{{.ImportPath}}|{{.Doc}}", "./...") {
		if name, doc, _ := strings.Cut(line, "|"); doc == "" {
			t.Errorf("package %s has no package comment: say what it owns and what it does not", name)
		}
	}
}
