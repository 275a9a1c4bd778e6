package loader_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
)

// system reads shop.yml of a folder with files as rosd does, and gives the
// services and what is wrong, without the name of the folder.
func system(t *testing.T, files map[string]string, remote bool) (map[string]compose.Service, []string, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"KIND": "ntp", "SET": "x"}
	path := filepath.Join(dir, "shop.yml")
	list, faults := compose.ParseIn(path, []byte(files["shop.yml"]), compose.Setting{Env: env, Files: compose.FromDisk, Resolve: resolver(env, remote)})
	services := map[string]compose.Service{}
	for _, s := range list {
		services[s.Name] = s
	}
	var lines []string
	for _, f := range faults {
		lines = append(lines, strings.ReplaceAll(f.Error(), dir+"/", ""))
	}
	return services, lines, dir
}

// resolver is what rosd has from the program project.
func resolver(env map[string]string, remote bool) compose.Resolver {
	return func(path string, text []byte) compose.Resolved {
		result := loader.Load(context.Background(), project.Request{Path: path, Text: text, Dir: filepath.Dir(path), Name: "shop", Env: env, Remote: remote})
		if result.Resolved == nil {
			return compose.Resolved{}
		}
		return *result.Resolved
	}
}

func TestSystemServicesTakeFromOthers(t *testing.T) {
	services, faults, dir := system(t, map[string]string{
		"shop.yml": `name: market
include:
  - shared/net.yml
  - {path: [tools/compose.yml], project_directory: ., env_file: [tools.env]}
services:
  web:
    extends: {file: base/common.yml, service: web}
    environment: {A: own}
    ports: ["8080:80"]
    networks: [front]
    depends_on: [tool]
  kin:
    extends: {service: local}
    command: [sleep, "1"]
  local:
    image: ros/local
    command: [run, all]
    mem_limit: 64m
    x-ros: {scope: system}
`,
		"base/common.yml": `services:
  root: {image: "ros/${KIND}", restart: always, x-ros: {scope: system, required: true}}
  web:
    extends: root
    environment: ["A=base", "B=$$5"]
    env_file: web.env
    volumes: ["./data:/data"]
`,
		"base/web.env":   "FROM=file\n",
		"shared/net.yml": "networks: {front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}\n",
		"tools.env":      "MODE=fast\n",
		"tools/compose.yml": `services:
  tool:
    image: ros/tool
    command: [run, "${MODE}"]
    configs: [{source: c, target: /c, mode: 0440}]
    x-ros: {scope: system}
  theirs: {image: test/a}
configs: {c: {content: "$$1 ${SET}"}}
`,
	}, false)
	if len(faults) > 0 {
		t.Fatalf("faults %q", faults)
	}
	web, kin, tool := services["web"], services["kin"], services["tool"]
	for _, tt := range []struct {
		what      string
		got, want any
	}{
		{"image", web.Image, "ros/ntp"},
		{"environment", web.Env, []string{"A=own", "B=$5", "FROM=file"}},
		{"volumes", web.Mounts, []compose.Mount{{Type: "bind", Source: dir + "/base/data", Target: "/data", CreateHost: true}}},
		{"restart", web.Restart.Mode, compose.RestartAlways},
		{"x-ros", web.Required, true},
		{"ports", web.Ports, []compose.Port{{Published: 8080, Target: 80, Protocol: "tcp"}}},
		{"networks", web.Networks, []compose.Attachment{{Network: compose.Network{Name: "market_front", Subnet: "10.9.0.0/24"}}}},
		{"line", web.Line, 6},
		{"depends_on", web.DependsOn, []compose.Dependency{{Service: "tool", Condition: compose.Started, Required: true, Line: 11}}},
		{"file", web.File, dir + "/shop.yml"},
		{"extends in the file", []any{kin.Image, kin.Command, kin.MemoryBytes, kin.Scope}, []any{"ros/local", []string{"sleep", "1"}, int64(64 << 20), compose.ScopeSystem}},
		{"included command", tool.Command, []string{"run", "fast"}},
		{"included line", tool.Line, 2},
		{"included config", tool.Files, []compose.File{{Source: "configs.c", Target: "/c", Mode: 0o440, Text: []byte("$1 x")}}},
		{"included for the user", services["theirs"].Scope, compose.ScopeUser},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// What is wrong is said where it stands, and costs what cannot do without it.
func TestSystemServicesThatCannotTakeFromOthers(t *testing.T) {
	const other = "\n  b: {image: x, x-ros: {scope: system}}\n"
	for _, tt := range []struct {
		name   string
		files  map[string]string
		remote bool
		faults []string
		left   string
	}{
		{
			name:   "base is wrong",
			files:  map[string]string{"shop.yml": "services:\n  a: {extends: {file: base.yml, service: base}}" + other, "base.yml": "services:\n  base:\n    image: x\n    restart: sometimes\n    x-ros: {scope: system}\n"},
			faults: []string{`base.yml:4: services.base.restart: "sometimes" is not supported: it must be "no", "always", "on-failure" or "unless-stopped"`},
			left:   "b",
		},
		{
			name: "entries of lists of both",
			files: map[string]string{
				"shop.yml": "services:\n  a:\n    extends: {file: base.yml, service: base}\n    cap_add:\n      - KILL\n      - NO_SUCH\n" + other,
				"base.yml": "services:\n  base:\n    image: x\n    cap_add:\n      - CHOWN\n      - NEITHER\n    volumes:\n      - none:/x\n    x-ros: {scope: system}\n",
			},
			faults: []string{
				`base.yml:6: services.base.cap_add[1]: "NEITHER" is no capability`, `shop.yml:6: services.a.cap_add[1]: "NO_SUCH" is no capability`,
				`base.yml:8: services.base.volumes[0]: volume "none" is not listed under "volumes" at the top of the file`,
			},
			left: "b",
		},
		{
			name:   "unknown key of an included service",
			files:  map[string]string{"shop.yml": "include: [more.yml]\nservices:" + other, "more.yml": "services:\n  c:\n    image: x\n    imgae: y\n    x-ros: {scope: system}\n"},
			faults: []string{`more.yml:4: services.c.imgae: unknown key (did you mean "image"?)`},
			left:   "b",
		},
		{
			name:   "unknown key at the top of an included file",
			files:  map[string]string{"shop.yml": "include: [more.yml]\n", "more.yml": "servces: {}\n"},
			faults: []string{`more.yml:1: servces: unknown key (did you mean "services"?)`},
		},
		{
			name:   "unknown option of a volume",
			files:  map[string]string{"shop.yml": "services:\n  a:\n    extends: b\n    volumes:\n      - ./x:/x:ro,rsalve\n" + other},
			faults: []string{`shop.yml:5: services.a.volumes[0]: option "rsalve" is not supported`},
			left:   "b",
		},
		{
			name:   "no file",
			files:  map[string]string{"shop.yml": "services:\n  a:\n    extends:\n      file: none.yml\n      service: base\n    x-ros: {scope: system}" + other},
			faults: []string{`shop.yml:4: services.a.extends.file: there is no file none.yml`},
			left:   "b",
		},
		{
			name:   "no service",
			files:  map[string]string{"shop.yml": "services:\n  a: {extends: {file: base.yml, service: c}, x-ros: {scope: system}}" + other, "base.yml": "services: {}\n"},
			faults: []string{`shop.yml:2: services.a.extends.service: there is no service "c" in base.yml`},
			left:   "b",
		},
		{
			name:   "a circle",
			files:  map[string]string{"shop.yml": "services:\n  a: {extends: c, x-ros: {scope: system}}\n  c: {extends: a, x-ros: {scope: system}}" + other},
			faults: []string{`shop.yml:2: services.a.extends: leads back to service "c"`, `shop.yml:3: services.c.extends: leads back to service "a"`},
			left:   "b",
		},
		{
			name:   "not YAML",
			files:  map[string]string{"shop.yml": "include: [more.yml]\nservices:" + other, "more.yml": "services:\n  c: [\n"},
			faults: []string{`more.yml:2: is not valid YAML`, `shop.yml:3: services.b: what it takes from others cannot be had: more.yml:2: is not valid YAML`},
		},
		{
			name:   "a file that includes itself",
			files:  map[string]string{"shop.yml": "include: [more.yml]\nservices:" + other, "more.yml": "include: [more.yml]\n"},
			faults: []string{`more.yml:1: include[0]: leads back to more.yml`, `shop.yml:3: services.b: what it takes from others cannot be had: more.yml:1: include[0]: leads back to more.yml`},
		},
		{
			name:   "no included file, and no services",
			files:  map[string]string{"shop.yml": "include:\n  - none.yml\n"},
			faults: []string{`shop.yml:2: include[0]: there is no file none.yml`},
		},
		{
			name:   "no variables of an included file",
			files:  map[string]string{"shop.yml": "include:\n  - {path: more.yml, env_file: [/dev/null]}\n  - path: more.yml\n    env_file: none.env\n", "more.yml": "services: {}\n"},
			faults: []string{`shop.yml:4: include[1].env_file: there is no file none.env`},
		},
		{
			name:   "variables that are no such file",
			files:  map[string]string{"shop.yml": "include:\n  - sub/more.yml\n", "sub/more.yml": "services: {}\n", "sub/.env": strings.Repeat("#", 1<<20+1)},
			faults: []string{`shop.yml:2: include[0]: sub/.env is larger than 1 MiB`},
		},
		{
			name:  "an unset variable",
			files: map[string]string{"shop.yml": "services:\n  a: {extends: {file: base.yml, service: base}, x-ros: {scope: system}}" + other, "base.yml": "services:\n  base:\n    image: x\n    user: ${NONE}\n"},
			faults: []string{
				`shop.yml:2: services.a: what it takes from others cannot be had: base.yml:4: services.base.user: variable`,
				`base.yml:4: services.base.user: variable ${NONE} is not set: write ${NAME:-value} for a default, or $$ for a dollar sign`,
			},
			left: "b",
		},
		{
			name: "from an address", remote: true,
			files:  map[string]string{"shop.yml": "services:\n  a: {extends: {file: base.yml, service: base}, x-ros: {scope: system}}" + other, "base.yml": "services: {base: {image: x}}\n"},
			faults: []string{`shop.yml:2: services.a.extends.file: is not supported in scope "system": ` + compose.Alone},
			left:   "b",
		},
		{
			name: "include of an address", remote: true,
			files: map[string]string{"shop.yml": "include: [base.yml]\nservices:" + other, "base.yml": "services: {base: {image: x}}\n"},
			faults: []string{
				`shop.yml:1: include: is not supported in scope "system": ` + compose.Alone,
				`shop.yml:3: services.b: what it takes from others cannot be had: shop.yml:1: include: is not supported in scope "system": ` + compose.Alone,
			},
		},
		{
			name: "within a file of an address", remote: true,
			files: map[string]string{"shop.yml": "services:\n  a: {extends: b}" + other},
			left:  "a b",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			services, faults, _ := system(t, tt.files, tt.remote)
			if len(faults) != len(tt.faults) {
				t.Fatalf("faults %q, want %q", faults, tt.faults)
			}
			for i, want := range tt.faults {
				if !strings.HasPrefix(faults[i], want) {
					t.Errorf("fault %q, want %q", faults[i], want)
				}
			}
			var left []string
			for _, name := range []string{"a", "b", "c"} {
				if _, ok := services[name]; ok {
					left = append(left, name)
				}
			}
			if got := strings.Join(left, " "); got != tt.left {
				t.Errorf("left are %q, want %q", got, tt.left)
			}
		})
	}
}

// A file that is written out means what it means as it stands: whatever the
// examples of the table have, with one service that extends another.
func TestWrittenOutMeansTheSame(t *testing.T) {
	dir, same := folder(t), 0
	for key, example := range examples(t) {
		text := strings.ReplaceAll(string(whole(key, example)), "linux/amd64", "linux/"+runtime.GOARCH)
		if strings.Contains(text, "extends") || strings.Contains(text, "include") || !strings.Contains(text, "services:") {
			continue
		}
		plain := scoped(t, []byte(text))
		path := filepath.Join(dir, "shop.yml")
		in := compose.Setting{Env: map[string]string{"SET": "x"}, Files: compose.FromDisk}
		want, faults := compose.ParseIn(path, plain, in)
		if len(faults) > 0 {
			continue
		}
		doc := node(t, plain)
		services := value(doc, "services")
		services.Content = append(services.Content, node(t, []byte("x: {n: {extends: o}, o: {image: x}}")).Content[1].Content...)
		in.Resolve = resolver(in.Env, false)
		list, faults := compose.ParseIn(path, written(t, doc), in)
		if len(faults) > 0 {
			t.Errorf("%s: %v in\n%s", key, faults, text)
			continue
		}
		for _, s := range list {
			for _, w := range want {
				s.Line, w.Line = 0, 0
				if s.Name == w.Name && compose.DefinitionHash(s) != compose.DefinitionHash(w) {
					t.Errorf("%s (-as it stands +written out):\n%s", key, cmp.Diff(w, s))
				}
			}
		}
		same++
	}
	if same < 60 {
		t.Errorf("only %d examples were looked at", same)
	}
}

// Whatever stands behind the two keys, there is an answer: a service, or a fault
// that says where.
func TestWhateverIsTakenFromOthers(t *testing.T) {
	values := []string{"", "~", "5", "true", "1.5", "''", "a", "b", "[]", "{}", "[a]", "[5]", "[~]", "[[a]]", "[{}]", "{a: b}", "{service: b}", "{service: [b]}", "{service: 5}", "{service: b, file: 5}",
		"{service: b, file: [x]}", "{service: b, file: ''}", "{service: b, file: .}", "{service: b, file: more.yml}", "{service: b, file: ~}", "{service: '${NONE}'}", "{service: b, file: '${NONE}'}", "{service: '${SET}'}",
		"[more.yml]", "[{path: more.yml}]", "[{path: [more.yml, more.yml]}]", "[{path: 5}]", "[{path: {a: b}}]", "[{path: more.yml, env_file: none.env}]", "[{path: more.yml, env_file: 5}]", "[{path: more.yml, project_directory: 5}]",
		"[{path: more.yml, project_directory: [a]}]", "[., /dev/zero]", "['${NONE}.yml']", "[shop.yml]", "more.yml", "2020-01-01", "&a [*a]", "{<<: {service: b}}"}
	for i, more := range []string{
		"services: {b: {image: y}}", "services: {b: 5}", "services: {b: }", "services: []", "services: 5", "services: ", "{}", "a", "[]", "networks: 5\nservices: {b: {image: y}}",
		"services: {b: {image: y, ports: 5, volumes: {a: b}, environment: 5, command: {a: b}, networks: [[n]], depends_on: 5, healthcheck: [], env_file: {}, labels: [5]}}",
		"services: {b: {image: y, volumes: [5, ~, [a], '::', 'a:b:c:d'], ports: [~, a, [b]], secrets: [5, {target: 5}], configs: [~], ulimits: {nofile: a}, deploy: 5, x-ros: 5}}",
		"services: {b: {extends: a}, a: {extends: b}}", "include: [more.yml]", "include: [shop.yml]", "x: &x {image: y, <<: *x}\nservices: {b: *x}",
	} {
		if i > 0 {
			values = []string{"[more.yml]", "{service: b, file: more.yml}"}
		}
		for _, value := range values {
			for _, file := range []string{
				"services:\n  a: {image: x, extends: %s, x-ros: {scope: system}}\n  b: {image: x, x-ros: {scope: system}}\n",
				"services:\n  a: {image: x, x-ros: {scope: system}}\ninclude: %s\n",
				"services:\n  b: {image: x, ports: ['80:80'], volumes: ['/a:/b'], environment: {A: b}, x-ros: {scope: system}}\ninclude: %s\n",
			} {
				file = strings.Replace(file, "%s", value, 1)
				services, faults, _ := system(t, map[string]string{"shop.yml": file, "more.yml": more}, false)
				if len(services) == 0 && len(faults) == 0 {
					t.Errorf("neither a service nor a fault of\n%s and\n%s", file, more)
				}
				for _, f := range faults {
					if strings.Contains(f, "internal error") {
						t.Errorf("%s of\n%s and\n%s", f, file, more)
					}
				}
			}
		}
	}
}
