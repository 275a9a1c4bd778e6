package compose_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
)

// kept has files as if they lay beside /etc/s/x.yml.
func kept(files map[string]string) compose.Setting {
	k := compose.Kept{}
	for name, text := range files {
		k["/etc/s/"+name] = []byte(text)
	}
	return compose.Setting{Files: k.Read}
}

// read reads a file of one service of the OS: what shows of it, or the faults.
func read(t *testing.T, file string, in compose.Setting, show func(compose.Service) []string) []string {
	t.Helper()
	services, faults := compose.ParseIn("/etc/s/x.yml", []byte(file), in)
	if len(faults) > 0 {
		return text(faults)
	}
	var all []string
	for _, s := range services {
		all = append(all, show(s)...)
	}
	return all
}

func TestEnvFiles(t *testing.T) {
	files := map[string]string{
		"a.env": "A=1\nBOTH=first\nexport QUOTED='x y' # said\nGIVEN\nNOT_GIVEN\n", "b.env": "BOTH=second ${A} ${OWN}\n",
		"name": "GIVEN", "raw": "R=$A 'x' #\n# no\nGIVEN\n", "broken.env": "A=1\npass word=very secret\n", "bad.env": "A=very secret ${\n", "nul": "A=\x00",
	}
	for _, tt := range []struct {
		keys string
		want []string
	}{
		{"env_file: a.env", []string{"A=1", "BOTH=first", "GIVEN=config", "QUOTED=x y"}},
		{"env_file: [a.env, b.env], environment: {OWN: z, A: over}", []string{"A=over", "BOTH=second over z", "GIVEN=config", "OWN=z", "QUOTED=x y"}},
		{"env_file: [{path: raw, format: raw}]", []string{"GIVEN=config", "R=$A 'x' #"}},
		{"env_file: [{path: none, required: false}]", nil},
		{"env_file: name", []string{"GIVEN=config"}},
		{"environment: [GIVEN]", []string{"GIVEN=config"}},
		{"environment: {GIVEN: , B: }", []string{`/etc/s/x.yml:1: services.a.environment.B: has no value: it must be text ("" for empty text)`}},
		{"env_file: none", []string{"/etc/s/x.yml:1: services.a.env_file: there is no file /etc/s/none"}},
		{"env_file: [a.env, broken.env]", []string{"/etc/s/x.yml:1: services.a.env_file[1]: broken.env is not a list of NAME=value: see line 2"}},
		{"env_file: bad.env", []string{"/etc/s/x.yml:1: services.a.env_file: bad.env is not a list of NAME=value, or has a variable written wrongly ($$ is a dollar sign)"}},
		{"env_file: nul", []string{"/etc/s/x.yml:1: services.a.env_file: nul is not text"}},
		{"env_file: ~/x", []string{`/etc/s/x.yml:1: services.a.env_file: "~/x": services of the OS have no home directory; write the path out`}},
		{"env_file: [{required: true}]", []string{`/etc/s/x.yml:1: services.a.env_file[0]: has no "path"`}},
		{"env_file: [{path: a.env, format: json}]", []string{`/etc/s/x.yml:1: services.a.env_file[0].format: "json" is not supported: it must be "raw"`}},
	} {
		in := kept(files)
		in.Env = map[string]string{"GIVEN": "config"}
		got := read(t, "services: {a: {image: x, "+tt.keys+", x-ros: {scope: system}}}", in, func(s compose.Service) []string { return s.Env })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.keys, diff)
		}
	}
}

func TestLabelFiles(t *testing.T) {
	in := kept(map[string]string{"one": "a=1\nb=1\n", "two": "b=2\nc=2\n", "old": "io.rancher.os.after=x\n"})
	labels := func(s compose.Service) []string { return []string{sorted(s.Labels)} }
	for keys, want := range map[string]string{
		"label_file: [one, two], labels: {c: 3}": `{"a":"1","b":"2","c":"3"}`,
		"label_file: none":                       "/etc/s/x.yml:1: services.a.label_file: there is no file /etc/s/none",
		"label_file: old":                        `/etc/s/x.yml:1: services.a.label_file: label "io.rancher.os.after" has no effect: use x-ros, depends_on and restart`,
	} {
		got := read(t, "services: {a: {image: x, "+keys+", x-ros: {scope: system}}}", in, labels)
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", keys, diff)
		}
	}
}

// The file .env beside the service file has variables; the config's count more.
func TestDotEnv(t *testing.T) {
	const file = "services: {a: {image: 'x:${TAG}', user: '$ME', x-ros: {scope: system}}}"
	show := func(s compose.Service) []string { return []string{s.Image, s.User} }
	in := kept(map[string]string{".env": "TAG=1\nME=file\n"})
	in.Env = map[string]string{"ME": "config"}
	if diff := cmp.Diff([]string{"x:1", "config"}, read(t, file, in, show)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []string{"/etc/s/x.yml: /etc/s/.env is not a list of NAME=value: see line 1",
		"/etc/s/x.yml:1: services.a: the file cannot be used: /etc/s/.env is not a list of NAME=value: see line 1"}
	if diff := cmp.Diff(want, read(t, "services: {a: {image: x, x-ros: {scope: system}}}", kept(map[string]string{".env": "a b=c"}), show)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfigsAndSecrets(t *testing.T) {
	in := kept(map[string]string{"page": "hello"})
	in.Env = map[string]string{"WORD": "hush"}
	show := func(s compose.Service) (list []string) {
		for _, f := range s.Files {
			list = append(list, f.Source+" "+f.Target+" "+string(f.Text))
		}
		return list
	}
	for _, tt := range []struct {
		name, top, keys string
		want            []string
	}{
		{"all ways", "configs: {a: {file: page}, b: {content: 'x ${WORD} $$'}, c: {environment: WORD}}", "configs: [a, b, {source: c, target: /etc/c}]",
			[]string{"configs.a /a hello", "configs.b /b x hush $", "configs.c /etc/c hush"}},
		{"secrets", "secrets: {a: {file: ./page}, b: {environment: WORD}}", "secrets: [a, {source: b, target: deep/b}, {source: b, target: /b}]",
			[]string{"secrets.a /run/secrets/a hello", "secrets.b /run/secrets/deep/b hush", "secrets.b /b hush"}},
		{"no file", "secrets: {a: {file: none}}", "secrets: [a]", []string{"/etc/s/x.yml:1: secrets.a.file: there is no file /etc/s/none"}},
		{"no variable", "secrets: {a: {environment: NONE}}", "secrets: [a]", []string{"/etc/s/x.yml:1: secrets.a.environment: variable NONE is not set"}},
		{"nobody needs the file", "secrets: {a: {file: none}}", "user: x", nil},
		{"not listed", "", "configs: [a]", []string{`/etc/s/x.yml:2: services.a.configs[0]: "a" is not listed under "configs" at the top of the file`}},
		{"twice in one place", "configs: {a: {file: page}}", "configs: [a, a]", []string{`/etc/s/x.yml:2: services.a.configs[1]: target "/a" is mounted already, on line 2`}},
		{"relative target of a config", "configs: {a: {file: page}}", "configs: [{source: a, target: etc/a}]", []string{`/etc/s/x.yml:2: services.a.configs[0]: target "etc/a" must be an absolute path`}},
		{"no source", "configs: {a: {file: page}}", "configs: [{target: /a}]", []string{`/etc/s/x.yml:2: services.a.configs[0]: has no "source"`}},
		{"user by name", "configs: {a: {file: page}}", "configs: [{source: a, uid: root}]", []string{`/etc/s/x.yml:2: services.a.configs[0].uid: "root" must be a number`}},
		{"mode by half", "configs: {a: {file: page}}", "configs: [{source: a, mode: 440}]", []string{`/etc/s/x.yml:2: services.a.configs[0].mode: "440" must be a file mode like 0755`}},
		{"two ways", "configs: {a: {file: page, content: x}}", "user: x", []string{
			`/etc/s/x.yml:1: configs.a: must have one of "file", "environment" or "content", and only one`,
			`/etc/s/x.yml:2: services.a: the file cannot be used: line 1: configs.a: must have one of "file", "environment" or "content", and only one`}},
		{"of a swarm", "secrets: {a: {external: true}}", "user: x", []string{
			`/etc/s/x.yml:1: secrets.a.external: is not supported: it is for a swarm; give "file" or "environment"`,
			`/etc/s/x.yml:2: services.a: the file cannot be used: line 1: secrets.a.external: is not supported: it is for a swarm; give "file" or "environment"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := read(t, tt.top+"\nservices: {a: {image: x, "+tt.keys+", x-ros: {scope: system}}}", in, show)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A fault of one service's file leaves the other services alone.
func TestMissingFileCostsOneService(t *testing.T) {
	services, faults := compose.ParseIn("/etc/s/x.yml", []byte(`secrets: {word: {file: none}, other: {environment: WORD}}
services:
  a: {image: x, secrets: [word], x-ros: {scope: system}}
  b: {image: x, env_file: none, x-ros: {scope: system}}
  c: {image: x, secrets: [other], x-ros: {scope: system}}
  d: {image: x, secrets: [word]}
`), compose.Setting{Files: compose.Kept{}.Read, Env: map[string]string{"WORD": "x"}})
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"c", "d"}, names); diff != "" { // d is for the engine to judge
		t.Errorf("usable services (-want +got):\n%s", diff)
	}
	want := []string{"/etc/s/x.yml:1: secrets.word.file: there is no file /etc/s/none", "/etc/s/x.yml:4: services.b.env_file: there is no file /etc/s/none"}
	if diff := cmp.Diff(want, text(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// A file that came from an address has no files beside it.
func TestAlone(t *testing.T) {
	_, faults := compose.Parse("http://x/a.yml", []byte("configs: {c: {file: ./c}}\nservices: {a: {image: x, env_file: [/etc/a], label_file: l, configs: [c], x-ros: {scope: system}}}"), nil)
	var keys []string
	for _, f := range faults {
		if want := `is not supported in scope "system": the file came from an address, alone: there are no files beside it`; f.Message != want {
			t.Errorf("fault %v, want %s", f, want)
		}
		keys = append(keys, f.Key)
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"configs.c.file", "services.a.env_file[0]", "services.a.label_file"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// What lies beside a file cannot hold up a boot, and is bounded.
func TestFromDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "large", strings.Repeat("x", 1<<20+1))
	write(t, dir, "x.yml", "configs: {large: {file: large}, dir: {file: .}}\nservices: {a: {image: x, env_file: [fifo], configs: [large, dir], x-ros: {scope: system}}}\n")
	_, faults := compose.Load(filepath.Join(dir, "x.yml"))
	var got []string
	for _, f := range faults {
		got = append(got, strings.ReplaceAll(f.Error(), dir, "DIR"))
	}
	want := []string{"DIR/x.yml:1: configs.large.file: DIR/large is larger than 1 MiB", "DIR/x.yml:1: configs.dir.file: DIR is not a regular file",
		"DIR/x.yml:2: services.a.env_file[0]: DIR/fifo is not a regular file"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// What was kept counts, and not what lies on the disk by now.
func TestKept(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.env", "A=1\n")
	file := filepath.Join(dir, "x.yml")
	write(t, dir, "x.yml", "services: {a: {image: 'x:${TAG}', env_file: a.env, x-ros: {scope: system}}}")
	write(t, dir, ".env", "TAG=1\n")
	k := compose.Kept{}
	data, _ := os.ReadFile(file)
	if _, faults := compose.ParseIn(file, data, compose.Setting{Files: k.Noting(compose.FromDisk)}); len(faults) > 0 {
		t.Fatal(faults)
	}
	write(t, dir, "a.env", "A=2\n")
	write(t, dir, ".env", "TAG=2\n")
	services, faults := compose.LoadAll(compose.Sources{Files: []string{file}, Kept: map[string]compose.Kept{file: k}})
	if len(faults) > 0 || services[0].Env[0] != "A=1" || services[0].Image != "x:1" {
		t.Errorf("services %+v, faults %v", services, faults)
	}
}

func TestProfiles(t *testing.T) {
	const file = `services:
  a: {image: x, x-ros: {scope: system}}
  b: {image: x, profiles: [debug, test], env_file: none, secrets: [s], x-ros: {scope: system}}
  c: {image: x, depends_on: {b: {condition: service_started, required: false}}, x-ros: {scope: system}}
secrets: {s: {environment: NONE}}
`
	names := func(s compose.Service) []string { return []string{s.Name} }
	for profiles, want := range map[string]string{"": "a c", "other,": "a c"} {
		in := kept(nil)
		in.Env = map[string]string{"COMPOSE_PROFILES": profiles}
		if got := strings.Join(read(t, file, in, names), " "); got != want {
			t.Errorf("with %q: %s, want %s", profiles, got, want)
		}
	}
	for _, profiles := range []string{"debug", "x,test", "x, test", "*"} {
		in := kept(map[string]string{"none": "", ".env": "COMPOSE_PROFILES=" + profiles + "\nNONE=x\n"})
		if got := strings.Join(read(t, file, in, names), " "); got != "a b c" {
			t.Errorf("with %q: %s", profiles, got)
		}
	}
	got := read(t, strings.Replace(file, ", required: false", "", 1), kept(nil), names)
	want := []string{`/etc/s/x.yml:4: services.c.depends_on: none of the profiles of service "b" is switched on in COMPOSE_PROFILES`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVolumesFrom(t *testing.T) {
	mounts := func(s compose.Service) (list []string) {
		for _, m := range s.Mounts {
			access := ""
			if m.ReadOnly {
				access = ":ro"
			}
			list = append(list, s.Name+" "+m.Source+":"+m.Target+access)
		}
		for _, d := range s.DependsOn {
			list = append(list, s.Name+" after "+d.Service)
		}
		return list
	}
	system := ", x-ros: {scope: system}}"
	for _, tt := range []struct{ file, want string }{
		{"a: {image: x, volumes_from: ['b:ro'], volumes: ['/own:/y']" + system + ", b: {image: x, volumes_from: [c], volumes: ['/b:/y'], tmpfs: /t" + system + ", c: {image: x, volumes: ['vol:/z']" + system,
			"a /own:/y, a vol:/z:ro, a after b, b /b:/y, b :/t, b vol:/z, b after c, c vol:/z"},
		{"a: {image: x, volumes_from: [a]" + system, `/etc/s/x.yml:2: services.a.volumes_from[0]: service "a" borrows from itself`},
		{"a: {image: x, volumes_from: [b]" + system + ", b: {image: x, volumes_from: [a]" + system, `/etc/s/x.yml:2: services.b.volumes_from[0]: service "a" borrows from itself`},
		{"a: {image: x, volumes_from: [b]" + system + ", b: {image: x}", `/etc/s/x.yml:2: services.a.volumes_from[0]: there is no service "b" with scope "system" in this file`},
		{"a: {image: x, volumes_from: ['container:b']" + system, `/etc/s/x.yml:2: services.a.volumes_from[0]: "container:b": services of the OS have no containers but their own`},
	} {
		got := strings.Join(read(t, "volumes: {vol: }\nservices: {"+tt.file+"}", kept(nil), mounts), ", ")
		if got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.file, got, tt.want)
		}
	}
}

func TestNamedVolumes(t *testing.T) {
	mounts := func(s compose.Service) (list []string) {
		for _, m := range s.Mounts {
			list = append(list, m.Type+" "+m.Source+" "+m.Device)
			if m.External {
				list = append(list, "external")
			}
		}
		return list
	}
	const at = `/etc/s/x.yml:1: services.a.volumes[0]: volume "vol": `
	for volume, want := range map[string]string{
		"{}":                                 "volume vol ",
		"{driver: local, name: other}":       "volume other ",
		"{external: true}":                   "volume vol ,external",
		"{external: {name: other}}":          "volume other ,external",
		"{external: false, driver_opts: {}}": "volume vol ",
		"{driver_opts: {type: none, o: bind, device: /srv/x/}}": "volume vol /srv/x",
		"{driver: nfs}":                   at + `volumes.vol.driver: "nfs" is not supported: it must be "local"`,
		"{name: ../x}":                    at + `volumes.vol: "../x" cannot be the name of a volume`,
		"{external: true, driver: local}": at + `volumes.vol: is "external": what it is has been said elsewhere`,
		"{driver_opts: {type: nfs, o: 'addr=10.0.0.1', device: ':/x'}}": at + `volumes.vol.driver_opts: is not supported in scope "system", but for a directory of the machine: {type: none, o: bind, device: /PATH}`,
		"{labels: {a: b}}": "volume vol ",
		"{labels: [a]}":    at + `volumes.vol.labels[0]: "a" has no value: write a=VALUE`,
	} {
		file := "services: {a: {image: x, volumes: ['vol:/v'], x-ros: {scope: system}}}\nvolumes: {vol: " + volume + "}"
		if got := strings.Join(read(t, file, kept(nil), mounts), ","); got != want {
			t.Errorf("%s: %s\nwant %s", volume, got, want)
		}
		if !strings.HasPrefix(want, at) {
			agree(t, []byte(file))
		}
	}
}

// What a config or a secret says is shown to nobody, and counts.
func TestSecretsAreNotShown(t *testing.T) {
	parse := func(word string) compose.Service {
		in := kept(map[string]string{"word": word})
		services, faults := compose.ParseIn("/etc/s/x.yml", []byte("services: {a: {image: x, secrets: [s], x-ros: {scope: system}}}\nsecrets: {s: {file: word}}"), in)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return services[0]
	}
	one, other := parse("hush"), parse("hash")
	if compose.DefinitionHash(one) == compose.DefinitionHash(other) {
		t.Error("another secret has the same hash: the container would keep the old one")
	}
	if compose.DefinitionHash(one) != compose.DefinitionHash(parse("hush")) {
		t.Error("the same secret has another hash")
	}
	if a, b := asJSON(t, one), asJSON(t, other); a != b {
		t.Errorf("the secret shows:\n%s\n%s", a, b)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
