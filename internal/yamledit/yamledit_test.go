package yamledit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/yamledit"
)

// commented is a file as a person keeps it.
const commented = `#cloud-config
# Edge machine 7, see the rack plan.

hostname: "edge-6"   # must match DNS

ssh_authorized_keys:
  # Anna
  - ssh-ed25519 AAAA anna
  # Ben, until March
  - ssh-ed25519 BBBB ben

rancher:
    network: {dns: {nameservers: [1.1.1.1, 9.9.9.9]}, interfaces: {eth0: {dhcp: true}}}
    docker:   # of the user
        tls: false
        extra_args: [--debug]
        # environment: [A=b]
    services:
    debug: # not now
    sysctl:
        fs.file-max: 1000   # enough

write_files:
- path: /etc/motd
  content: |

    Hello.
      # not a comment

  permissions: "0644"
# end of file
`

func TestSet(t *testing.T) {
	for _, tt := range []struct{ name, text, key, value, want string }{
		{"one line of many", commented, "hostname", "edge-7",
			strings.Replace(commented, `"edge-6"`, `"edge-7"`, 1)},
		{"nothing to do", commented, "hostname", "edge-6", commented},
		{"another type", commented, "rancher.docker.tls", "true",
			strings.Replace(commented, "tls: false", "tls: true", 1)},
		{"an empty value with a comment", commented, "rancher.debug", "true",
			strings.Replace(commented, "debug: # not", "debug: true # not", 1)},
		{"a key with a dot in it", commented, "rancher.sysctl.fs|file-max", "2000",
			strings.Replace(commented, "1000 ", "2000 ", 1)},
		{"a list on one line stays on one line", commented, "rancher.docker.extra_args", "[--debug, --ip=::]",
			strings.Replace(commented, "[--debug]", "[--debug, --ip=::]", 1)},
		{"an entry more keeps the comments of the others", commented, "ssh_authorized_keys",
			"[ssh-ed25519 AAAA anna, ssh-ed25519 BBBB ben, ssh-ed25519 CCCC carl]",
			strings.Replace(commented, "BBBB ben\n", "BBBB ben\n  - ssh-ed25519 CCCC carl\n", 1)},
		{"an entry less", commented, "ssh_authorized_keys", "[ssh-ed25519 BBBB ben]",
			strings.Replace(commented, "  - ssh-ed25519 AAAA anna\n", "", 1)},
		{"an entry changed in the middle", "a:\n- 1\n# two\n- 2\n- 3 # three\n", "a", "[1, 4, 5, 3]",
			"a:\n- 1\n# two\n- 4\n- 5\n- 3 # three\n"},
		{"within braces", commented, "rancher.network.interfaces.eth0.mtu", "1400",
			strings.Replace(commented, "{dhcp: true}", "{dhcp: true, mtu: 1400}", 1)},
		{"a value within braces", commented, "rancher.network.dns.nameservers", "[8.8.8.8]",
			strings.Replace(commented, "[1.1.1.1, 9.9.9.9]", "[8.8.8.8]", 1)},
		{"a text within braces that needs quotes", "a: {b: c}\n", "a.b", "'x, y'", "a: {b: 'x, y'}\n"},
		{"a new key goes behind the comments of its mapping", commented, "rancher.docker.bip", "172.19.0.1/16",
			strings.Replace(commented, "[A=b]\n", "[A=b]\n        bip: 172.19.0.1/16\n", 1)},
		{"a mapping that is empty", commented, "rancher.services.web.image", "nginx:1.29",
			strings.Replace(commented, "services:\n", "services:\n        web:\n            image: nginx:1.29\n", 1)},
		{"mappings on the way", commented, "rancher.state.dev", "LABEL=X",
			strings.Replace(commented, "enough\n", "enough\n    state:\n        dev: LABEL=X\n", 1)},
		{"a list in the layout of the file", commented, "rancher.modules", "[nbd, 'br_netfilter: x']",
			strings.Replace(commented, "enough\n", "enough\n    modules:\n      - nbd\n      - 'br_netfilter: x'\n", 1)},
		{"a new key at the end of the file", commented, "timezone", "Europe/Berlin",
			commented + "timezone: Europe/Berlin\n"},
		{"a mapping keeps the comments of the keys that stay", commented, "rancher.docker", "{tls: true, extra_args: [--debug], bip: 1.2.3.4/5}",
			strings.Replace(strings.Replace(commented, "tls: false", "tls: true", 1), "[A=b]\n", "[A=b]\n        bip: 1.2.3.4/5\n", 1)},
		{"a mapping becomes a single value", "a: # why\n  b: 1\n  # gone with it\n  c: 2\nd: 3\n", "a", "5", "a: 5 # why\nd: 3\n"},
		{"a single value becomes a mapping", "a:   1   # why\nd: 3\n", "a", "{b: 2, c: {}}", "a:   # why\n  b: 2\n  c: {}\nd: 3\n"},
		{"a block of text becomes a word", "a: |\n  one\n\n  two\n\n# next\nb: 1\n", "a", "x", "a: x\n\n# next\nb: 1\n"},
		{"a word becomes a block of text", "a: x # why\nb: 1\n", "a", `"one\n two\n"`, "a: | # why\n  one\n   two\nb: 1\n"},
		{"a text that has to be quoted", "a: x\n", "a", `" lead\nend"`, "a: \" lead\\nend\"\n"},
		{"text that looks like a number keeps its quotes", `a: "0600"`, "a", "'0755'", "a: '0755'"},
		{"octal as written", "a: 0600\n", "a", "0755", "a: 0755\n"},
		{"a value on the next line", "a:\n  # here\n  long text\n  over two lines\nb: 1\n", "a", "x", "a: x\nb: 1\n"},
		{"an unquoted text of several lines", "a: one\n  two\n\n  three # c\nb: 1\n", "a", "x", "a: x # c\nb: 1\n"},
		{"a quoted text of several lines", "a: \"one \\\" # no\n  two\" # c\nb: 1\n", "a", "x", "a: \"x\" # c\nb: 1\n"},
		{"CRLF", "#cloud-config\r\nhostname: a # b\r\nrancher:\r\n  debug: true\r\n", "rancher.modules", "[x]",
			"#cloud-config\r\nhostname: a # b\r\nrancher:\r\n  debug: true\r\n  modules:\r\n    - x\r\n"},
		{"no line end at the end", "a: 1\nb:\n  c: 2", "b.d", "3", "a: 1\nb:\n  c: 2\n  d: 3"},
		{"a block of text without a line end at the end", "a: |\n  text", "b", "3", "b: 3\na: |\n  text"},
		{"a byte order mark", "\ufeffa: 1\n", "a", "2", "\ufeffa: 2\n"},
		{"an empty file", "", "a.b", "1", "a:\n  b: 1\n"},
		{"a file of comments", "#cloud-config\n# nothing yet", "a", "1", "#cloud-config\n# nothing yet\na: 1"},
		{"a file with a beginning and an end", "---\na: 1\n...\n", "b", "1", "---\na: 1\nb: 1\n...\n"},
		{"braces only", "{}\n", "a.b", "1", "a:\n  b: 1\n"},
		{"braces at the root", "{a: 1, b: 2}\n", "c", "[1, 2]", "{a: 1, b: 2, c: [1, 2]}\n"},
		{"braces over lines", "a: {\n  b: 1, # one\n  c: 2,\n}\n", "a.d", "3", "a: {\n  b: 1, # one\n  c: 2,\n  d: 3\n}\n"},
		{"braces around a key without a value", "a: {b}\n", "a.b", "3", "a: {b: 3}\n"},
		{"empty braces", "a: {} # none\nb: {c: {}}\n", "b.c.d", "3", "a: {} # none\nb: {c: {d: 3}}\n"},
		{"a list at the height of its key", "a:\n- 1\nb: 2\n", "c", "[3]", "a:\n- 1\nb: 2\nc:\n- 3\n"},
		{"lists in a list", "a: 1\n", "mounts", "[[/dev/vdb, /mnt, ext4, ''], [a, b, c, d]]",
			"a: 1\nmounts:\n  - [/dev/vdb, /mnt, ext4, '']\n  - [a, b, c, d]\n"},
		{"mappings in a list", "a: 1\n", "users", `[{name: anna, groups: [x], passwd: "a\nb\n"}]`,
			"a: 1\nusers:\n  - name: anna\n    groups:\n      - x\n    passwd: |\n      a\n      b\n"},
		{"an anchor that nobody needs", "a: &x 1\nb: 2\n", "a", "3", "a: 3\nb: 2\n"},
		{"an alias", "a: &x 1\nb: *x # same\n", "b", "3", "a: &x 1\nb: 3 # same\n"},
		{"over what is merged in", "a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n", "c.b", "3", "a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n  b: 3\n"},
		{"null", "a: 1\n", "a", "null", "a: null\n"},
		{"a date", "a: 1\n", "b", "2027-01-31", "a: 1\nb: 2027-01-31\n"},
		{"an alias in the value", "a: 1\n", "b", "{x: &v [1, 2], y: *v}", "a: 1\nb:\n  x:\n    - 1\n    - 2\n  y:\n    - 1\n    - 2\n"},
		{"keeps its trailing line breaks", "a: |+\n  x\n\n\nb: 1\n", "b", "2", "a: |+\n  x\n\n\nb: 2\n"},
		{"behind a block that keeps its line breaks", "r:\n  a: |+\n    x\n\nb: 1\n", "r.c", "2", "r:\n  a: |+\n    x\n\n  c: 2\nb: 1\n"},
		{"an indented block", "r:\n  a: |2\n      x\n     y\nb: 1\n", "r.a", "z", "r:\n  a: z\nb: 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := yamledit.Set([]byte(tt.text), split(tt.key), []byte(tt.value))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// split makes a key of a test: dots divide, | is a dot.
func split(key string) []string {
	parts := strings.Split(key, ".")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "|", ".")
	}
	return parts
}

func TestSetRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, key, value, want string }{
		{"a broken file", "a: [1\n", "b", "1", `line 1: is not valid YAML: did not find expected ',' or ']'`},
		{"a list as root", "- a\n", "b", "1", `line 1: must be a mapping ("key: value" on its first line)`},
		{"a broken value", "a: 1\n", "a", "[1", `the value is not valid YAML (put it in quotes?): did not find expected ',' or ']'`},
		{"a key twice", "a: 1\nb: 2\na: 3\n", "a", "4", "a is given twice, on line 1 and on line 3: remove one of them first"},
		{"below a list", "a:\n  b: [1]\n", "a.b.c", "4", `a.b (line 2) is not a mapping, so it can have no key "c"`},
		{"below an alias", "x: &x {b: 1}\na: *x\n", "a.b", "4", "a is an alias (*x) of what stands on line 1: change it there"},
		{"below what is merged in", "x: &x {b: {d: 1}}\na:\n  <<: *x\n", "a.b.c", "4", "a.b comes from another mapping (<<): change it there"},
		{"an anchor that others need", "x: &x 1\na: *x\n", "x", "4", "the file is written in a way that cannot be changed safely: edit it by hand"},
		{"an explicit key", "? a\n: b\n", "a", "4", `line 1: the key is written in a way ("? key") that cannot be changed: edit it by hand`},
		{"an alias bomb", "a: 1\n", "a", bomb(), "the value has aliases that expand to more than a file can hold"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := yamledit.Set([]byte(tt.text), split(tt.key), []byte(tt.value))
			if err == nil {
				t.Fatalf("got %q, want an error", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func bomb() string {
	var b strings.Builder
	b.WriteString("{l0: &l0 [x, x]")
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		prev := "*l" + string(n[0]-1)
		b.WriteString(", l" + n + ": &l" + n + " [" + strings.TrimSuffix(strings.Repeat(prev+" , ", 9), ", ") + "]")
	}
	return b.String() + "}"
}

func TestUnset(t *testing.T) {
	for _, tt := range []struct{ name, text, key, want string }{
		{"a line", commented, "rancher.docker.tls", strings.Replace(commented, "        tls: false\n", "", 1)},
		{"a block of text and what is below it", commented, "write_files",
			commented[:strings.Index(commented, "write_files")] + "# end of file\n"},
		{"a mapping with its comments", commented, "rancher.docker",
			strings.Replace(commented, "    docker:   # of the user\n        tls: false\n        extra_args: [--debug]\n        # environment: [A=b]\n", "", 1)},
		{"a mapping that would be empty", commented, "rancher.sysctl.fs|file-max",
			strings.Replace(commented, "    sysctl:\n        fs.file-max: 1000   # enough\n", "", 1)},
		{"within braces", commented, "rancher.network.dns.nameservers",
			strings.Replace(commented, "dns: {nameservers: [1.1.1.1, 9.9.9.9]}, ", "", 1)},
		{"the last within braces", "a: {b: 1, c: 2 }\n", "a.c", "a: {b: 1 }\n"},
		{"braces at the root", "{a: 1}\n", "a", "{}\n"},
		{"the only key", "# c\na: 1\n", "a", "# c\n"},
		{"the only key, deep", "# c\na:\n  b:\n    c: 1\n", "a.b.c", "# c\n"},
		{"no such key", commented, "rancher.docker.bip", commented},
		{"no such mapping", commented, "a.b.c", commented},
		{"below a value", commented, "hostname.b", commented},
		{"an empty file", "", "a", ""},
		{"CRLF", "a: 1\r\nb: 2\r\n", "a", "b: 2\r\n"},
		{"no line end at the end", "a: 1\nb: 2", "b", "a: 1\n"},
		{"a list", commented, "ssh_authorized_keys",
			commented[:strings.Index(commented, "ssh_auth")] + commented[strings.Index(commented, "\nrancher:"):]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := yamledit.Unset([]byte(tt.text), split(tt.key))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnsetRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, key, want string }{
		{"what is merged in", "x: &x {b: 1}\na:\n  <<: *x\n", "a.b", "a.b comes from another mapping (<<): remove it there"},
		{"below an alias", "x: &x {b: 1}\na: *x\n", "a.b", "a is an alias (*x) of what stands on line 1: change it there"},
		{"an anchor that others need", "x: &x 1\na: *x\n", "x", "the file is written in a way that cannot be changed safely: edit it by hand"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := yamledit.Unset([]byte(tt.text), split(tt.key))
			if err == nil {
				t.Fatalf("got %q, want an error", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct{ name, text, other, want string }{
		{"into many lines", commented, "hostname: edge-7\nrancher:\n  docker:\n    tls: true\n    bip: 1.2.3.4/5\n  debug:\n  modules: [nbd]\nntp:\n  servers:\n  - a\n",
			strings.NewReplacer(`"edge-6"`, `"edge-7"`, "tls: false", "tls: true", "[A=b]\n", "[A=b]\n        bip: 1.2.3.4/5\n",
				"enough\n", "enough\n    modules: [nbd]\n", "# end of file\n", "# end of file\nntp:\n    servers:\n      - a\n").Replace(commented)},
		{"into an empty file", "\n", "# mine\na: 1\n", "# mine\na: 1\n"},
		{"into comments", "#cloud-config\n", "# mine\na: {b: 1}\n", "#cloud-config\na: {b: 1}\n"},
		{"nothing", commented, "# nothing\n", commented},
		{"itself", commented, commented, commented},
		{"CRLF into LF", "a: 1\n", "b: |\r\n  x\r\n  y\r\n", "a: 1\nb: |\n  x\n  y\n"},
		{"lists replace", "a:\n  - 1\n  - 2\n", "a: [3]\n", "a:\n  - 3\n"},
		{"mappings within braces", "a: {b: {c: 1}, d: 2}\n", "a:\n  b:\n    e: 3\n    c: 4\n", "a: {b: {c: 4, e: 3}, d: 2}\n"},
		{"mappings within braces keep how they are written", "a: { b:  {c: 1,}, d: 2 }\n", "a: {b: {c: 1, e: 3, f: 4}, g: 5}\n", "a: { g: 5, b:  {e: 3, f: 4, c: 1,}, d: 2 }\n"},
		{"into braces only", "{} # none\n", "a: 1\nb: [2]\nc:\n", "a: 1\nb: [2] # none\n"},
		{"a mapping over a value", "a: 1 # c\n", "a:\n  b: 2\n", "a: # c\n  b: 2\n"},
		{"quotes come along", "a: 1\n", "p: \"0644\"\nq: '1.10'\nr: 0600\n", "a: 1\np: \"0644\"\nq: '1.10'\nr: 0600\n"},
		{"aliases are written out", "a: 1\n", "x: &x [1]\ny: *x\n", "a: 1\nx: [1]\ny: [1]\n"},
		{"two at the same place", "a:\n  b: 1", "a: {c: 2}\nd: 3\n", "a:\n  b: 1\n  c: 2\nd: 3"},
		{"braces at the root", "{a: 1}\n", "b: 2\nc: |\n  x\n", "{a: 1, b: 2, c: \"x\\n\"}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := yamledit.Merge([]byte(tt.text), []byte(tt.other))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, other, want string }{
		{"a broken file", "a: [1\n", "b: 1", "line 1: is not valid YAML: did not find expected ',' or ']'"},
		{"a broken addition", "a: 1\n", "b: [1", "cannot read what is to be merged: line 1: is not valid YAML: did not find expected ',' or ']'"},
		{"into an alias", "x: &x {b: 1}\na: *x\n", "a: {c: 1}", "a is an alias (*x) of what stands on line 1: change it there"},
		{"a key twice", "a: 1\na: 2\n", "a: 3", "a is given twice, on line 1 and on line 2: remove one of them first"},
		{"an addition with a key twice", "", "b:\n  a: 1\n  a: 2\n", "cannot merge: line 3: b.a: is given twice, first on line 2"},
		{"a merge key", "a: 1\n", "x: &x {b: 1}\n<<: *x\n", `cannot merge "<<": write it out`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := yamledit.Merge([]byte(tt.text), []byte(tt.other))
			if err == nil {
				t.Fatalf("got %q, want an error", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}
