//go:build vm

package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/signature"
)

// releases makes releases out of the system that was built, and serves them to
// machines over HTTP.
type releases struct {
	lab lab
	dir string // what is served
	url string // of it, as a machine sees it
	key signature.PrivateKey

	mu    sync.Mutex
	reads map[string]int // of the list, by the version that asked
}

// hostAddress is the host in QEMU's user network.
const hostAddress = "10.0.2.2"

func (l lab) openReleases(t *testing.T) *releases {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &releases{lab: l, dir: t.TempDir(), key: key, reads: map[string]int{}}
	files := http.FileServer(http.Dir(r.dir))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/releases.yml" {
			r.read(req.URL.Query().Get("current"))
		}
		files.ServeHTTP(w, req)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + net.JoinHostPort(hostAddress, port)
	return r
}

func (r *releases) read(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads[version]++
}

// listReads is how often machines with a version have read the list.
func (r *releases) listReads(version string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads[version]
}

// publicKey is what a machine has to trust, in PEM.
func (r *releases) publicKey(t *testing.T) string {
	t.Helper()
	text, err := r.key.Public("test").MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// change is how a release differs from the system that was built. The zero
// value is that system under another version.
type change struct {
	files   map[string]string         // of the OS image: path -> text; executable, and "" removes it
	cmdline func(words string) string // nil: as it was
	kernel  func(kernel []byte) []byte
	initrd  func(initrd []byte) []byte
}

// image is an OS image with its verity tree.
type image struct {
	file     string
	rootHash string
	offset   int64
}

// make builds and signs a release and returns its address for machines.
func (r *releases) make(t *testing.T, version string, c change) string {
	t.Helper()
	work := t.TempDir()
	img := r.image(t, work, version, c.files)
	files := release.Files{
		release.Kernel: r.edited(t, work, r.lab.system.Kernel, c.kernel),
		release.Initrd: r.edited(t, work, r.lab.system.Initrd, c.initrd),
		release.Image:  img.file,
		release.SBOM:   filepath.Join(work, "sbom.json"),
	}
	if err := os.WriteFile(files[release.SBOM], []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	parts, err := files.Parts()
	if err != nil {
		t.Fatal(err)
	}
	about, err := release.ReadRunning(filepath.Join(r.tree(), "usr/lib/ros/release.json"))
	if err != nil {
		t.Fatal(err)
	}
	cmdline := fmt.Sprintf("ros.roothash=%s ros.hashoffset=%d transparent_hugepage=madvise watchdog.stop_on_reboot=0", img.rootHash, img.offset)
	if c.cmdline != nil {
		cmdline = c.cmdline(cmdline)
	}
	artifact, err := release.NewArtifact(release.Manifest{
		Format: release.Format, Version: version, Arch: r.lab.arch, Flavour: about.Flavour, Kernel: about.Kernel,
		RootHash: img.rootHash, HashOffset: img.offset, Cmdline: cmdline, Parts: parts,
	}, files, nil, &r.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := release.WriteLayout(filepath.Join(r.dir, version), version, &r.key, artifact); err != nil {
		t.Fatal(err)
	}
	return r.url + "/" + version
}

// tree is the folder that the built OS image was made from.
func (r *releases) tree() string { return filepath.Join(r.lab.build.Dir, r.lab.arch, "tree") }

func (r *releases) edited(t *testing.T, work, file string, edit func([]byte) []byte) string {
	t.Helper()
	if edit == nil {
		return file
	}
	content, err := os.ReadFile(file)
	to := filepath.Join(work, filepath.Base(file))
	if err = errors.Join(err, os.WriteFile(to, edit(content), 0o644)); err != nil {
		t.Fatal(err)
	}
	return to
}

// image makes an OS image as forge does, with other files in it.
func (r *releases) image(t *testing.T, work, version string, files map[string]string) image {
	t.Helper()
	// Beside the tree, so that unchanged files are hard links.
	tree, err := os.MkdirTemp(filepath.Dir(r.tree()), "tree-of-a-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tree)
	if out, err := exec.Command("cp", "-al", r.tree()+"/.", tree).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	all := map[string]string{"usr/lib/ros/release.json": r.about(t, version)}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		put(t, filepath.Join(tree, name), text)
	}
	img := image{file: filepath.Join(work, "os.img")}
	if _, err := r.lab.build.Run("mkfs.erofs", "--quiet", "-T1735689600", "-U", "7e3c7d2a-52f1-4a53-8d0b-3a5b0a6f0001", "-L", "ROSTER_OS",
		"-zlz4hc,9", "-C65536", img.file, tree); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(img.file)
	if err != nil {
		t.Fatal(err)
	}
	img.offset = (info.Size() + 4095) / 4096 * 4096
	if err := os.Truncate(img.file, img.offset); err != nil {
		t.Fatal(err)
	}
	out, err := r.lab.build.Run("veritysetup", "format", "--hash=sha256", "--data-block-size=4096", "--hash-block-size=4096",
		fmt.Sprintf("--data-blocks=%d", img.offset/4096), fmt.Sprintf("--hash-offset=%d", img.offset),
		"--salt=726f73746572", "--uuid=7e3c7d2a-52f1-4a53-8d0b-3a5b0a6f0002", img.file, img.file)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`Root hash:\s+([0-9a-f]{64})`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("veritysetup told no root hash: %s", out)
	}
	img.rootHash = m[1]
	return img
}

// about is release.json of the OS image with another version.
func (r *releases) about(t *testing.T, version string) string {
	t.Helper()
	var about map[string]any
	text, err := os.ReadFile(filepath.Join(r.tree(), "usr/lib/ros/release.json"))
	if err == nil {
		err = json.Unmarshal(text, &about)
	}
	if err != nil {
		t.Fatal(err)
	}
	about["version"] = version
	if text, err = json.Marshal(about); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// put replaces a file, which is a hard link to the tree's, or removes it.
func put(t *testing.T, name, text string) {
	t.Helper()
	err := os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil && text != "" {
		err = os.WriteFile(name, []byte(text), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// list writes a list of releases, which a machine finds at its address.
func (r *releases) list(t *testing.T, current string, available ...string) string {
	t.Helper()
	text := "current: " + current + "\navailable:\n"
	for _, ref := range append(available, current) {
		text += "  - " + ref + "\n"
	}
	if err := os.WriteFile(filepath.Join(r.dir, "releases.yml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return r.url + "/releases.yml"
}

// indent puts a text of several lines into YAML.
func indent(text string, spaces int) string {
	pad := strings.Repeat(" ", spaces)
	return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad)
}
