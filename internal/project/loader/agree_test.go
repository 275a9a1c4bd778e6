package loader_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	ours "github.com/rosteros/ros/internal/project/loader"

	"github.com/rosteros/ros/internal/project"
)

// compose-go's own examples: what it takes we take too, unless a fault says
// which key or variable is not for this machine; what it refuses we refuse. And
// what we make of a service says what compose-go read.
func TestAgreesOnComposeGosExamples(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/compose-spec/compose-go/v2").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	root := strings.TrimSpace(string(out))
	var taken, refused, wrong int
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || d.IsDir() || ext != ".yml" && ext != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "services:") {
			return err
		}
		name, _ := filepath.Rel(root, path)
		t.Run(name, func(t *testing.T) {
			switch theirs, err := theirs(path, text); {
			case err != nil:
				wrong++
				if result := ours.Load(context.Background(), request(path, text)); len(result.Faults) == 0 && len(result.Services) > 0 {
					t.Errorf("is taken; compose-go says: %v", err)
				}
			default:
				result := ours.Load(context.Background(), request(path, text))
				if len(result.Faults) > 0 {
					refused++
					explained(t, result)
					return
				}
				taken++
				same(t, theirs, result)
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if taken < 15 || refused < 5 || wrong < 5 {
		t.Errorf("%d examples taken, %d refused by name, %d refused by both: are they all there?", taken, refused, wrong)
	}
}

func request(path string, text []byte) project.Request {
	return project.Request{Path: path, Text: text, Dir: filepath.Dir(path), Name: "example"}
}

func theirs(path string, text []byte) (*types.Project, error) {
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: filepath.Dir(path), ConfigFiles: []types.ConfigFile{{Filename: path, Content: text}}, Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("example", false); o.ResolvePaths = true })
}

// explained wants faults that an operator can do something with.
func explained(t *testing.T, result project.Result) {
	t.Helper()
	for _, f := range result.Faults {
		if f.Line == 0 && f.Key == "" && !strings.Contains(f.Message, "expand") || strings.Contains(f.Message, "internal error") {
			t.Errorf("the fault names no place: %v", f)
		}
	}
}

func same(t *testing.T, theirs *types.Project, result project.Result) {
	t.Helper()
	for _, s := range result.Services {
		c, err := project.Of(s)
		if err != nil {
			t.Fatal(err)
		}
		want := theirs.Services[s.Name]
		if diff := cmp.Diff([]string{want.Image, theirs.Name}, []string{s.Image, c.Project}); diff != "" {
			t.Errorf("service %s (-compose-go +here):\n%s", s.Name, diff)
		}
		if len(want.DependsOn) < len(s.DependsOn) {
			t.Errorf("service %s depends on %v, compose-go says %v", s.Name, s.DependsOn, want.DependsOn)
		}
	}
	if len(result.Services) > len(theirs.Services) {
		t.Errorf("%d services, compose-go has %d", len(result.Services), len(theirs.Services))
	}
}
