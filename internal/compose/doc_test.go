package compose_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/compose"
)

// The reference for people and the tables of the code are one: each key in
// both, each refusal with the same reason, and every example is accepted.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/service-file.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(text), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	xros, keys, refused := sections["x-ros"], sections["Supported keys"], sections["Refused keys"]
	if xros == "" || keys == "" || refused == "" {
		t.Fatal("docs/service-file.md has lost one of its sections")
	}
	keys, _, _ = strings.Cut(keys, "\nAt the top of a file")

	var plain, inner []string
	for _, key := range rows(keys + xros) {
		if strings.Contains(key, ".") {
			inner = append(inner, key)
		} else {
			plain = append(plain, key)
		}
	}
	slices.Sort(plain)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(compose.Supported)), plain); diff != "" {
		t.Errorf("supported keys (-code +doc):\n%s", diff)
	}

	// Inner keys are those of a service that has them all; the service above
	// is refused no key, so the list is what the code takes.
	slices.Sort(inner)
	if diff := cmp.Diff(innerKeys(t), inner); diff != "" {
		t.Errorf("keys inside keys (-example +doc):\n%s", diff)
	}

	var table strings.Builder
	for _, key := range slices.Sorted(maps.Keys(compose.Refused)) {
		table.WriteString("| `" + key + "` | " + compose.Refused[key] + " |\n")
	}
	_, got, _ := strings.Cut(refused, "|---|---|\n")
	if diff := cmp.Diff(table.String(), got); diff != "" {
		t.Errorf("refused keys (-code +doc):\n%s", diff)
	}

	for _, example := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if services, faults := compose.ParseIn(besides(t), []byte(example[1]), given); len(faults) > 0 || len(services) == 0 {
			t.Errorf("example in the documentation has faults: %v", faults)
		}
		agree(t, []byte(example[1]))
	}
}

var row = regexp.MustCompile("(?m)^\\| ((?:`[a-zA-Z0-9_.-]+`(?:, )?)+) \\|")

func rows(section string) []string {
	var keys []string
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		for key := range strings.SplitSeq(m[1], ", ") {
			keys = append(keys, strings.Trim(key, "`"))
		}
	}
	return keys
}

// innerKeys are the keys inside the keys of the example that has everything.
func innerKeys(t *testing.T) []string {
	t.Helper()
	var file struct {
		Services map[string]map[string]any
	}
	if err := yaml.Unmarshal([]byte(full), &file); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{"healthcheck.disable": true} // says that the others have no meaning
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, inner := range value {
				if path == "depends_on" || path == "ulimits" || path == "networks" {
					name = "NAME"
				}
				walk(path+"."+name, inner)
			}
			return
		case []any:
			words := true
			for _, item := range value {
				if _, isMapping := item.(map[string]any); isMapping {
					words = false
					walk(path, item)
				}
			}
			if !words {
				return
			}
		}
		if strings.Contains(path, ".") && !strings.HasSuffix(path, ".NAME") {
			found[path] = true
		}
	}
	for name, value := range file.Services["everything"] {
		switch {
		case slices.Contains([]string{"environment", "labels", "sysctls"}, name): // names of the user
		case name == "x-other":
		default:
			walk(name, value)
		}
	}
	return slices.Sorted(maps.Keys(found))
}
