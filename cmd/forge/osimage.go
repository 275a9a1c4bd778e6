package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/rosteros/ros/internal/release"
)

func (f *forge) osFile(name string) string { return filepath.Join(f.dir, name) }

// osPart is one source of the OS image, and where it goes.
type osPart struct{ from, to string }

func (f *forge) osParts() ([]osPart, error) {
	recipes, err := f.recipes()
	if err != nil {
		return nil, err
	}
	var parts []osPart
	for _, r := range recipes {
		if r.folder == hostImage {
			for b := r; b != nil; b = b.from {
				parts = append([]osPart{{f.layerDir(b), ""}}, parts...) // the root before what goes into it
			}
			continue
		}
		parts = append(parts,
			osPart{f.layerDir(r), "usr/lib/ros/layers/" + r.folder},
			osPart{filepath.Join(f.shared, "images", r.folder+".json"), "usr/lib/ros/images/" + r.folder + ".json"})
	}
	bin := filepath.Join(f.shared, "bin")
	for _, p := range []string{"init", "rosd", "osupdate", "project", "containerd", "containerd-shim-runc-v2"} {
		parts = append(parts, osPart{filepath.Join(bin, p), "usr/lib/ros/" + p})
	}
	for _, name := range f.grubFiles() {
		parts = append(parts, osPart{filepath.Join(f.grubDir(), name), "usr/lib/ros/boot/" + name})
	}
	catalog, err := f.catalogFiles()
	if err != nil {
		return nil, err
	}
	for _, name := range catalog {
		parts = append(parts, osPart{filepath.Join(f.top, "catalog", name), "usr/lib/ros/catalog/" + name})
	}
	return append(parts,
		osPart{filepath.Join(bin, "ros"), "usr/bin/ros"},
		osPart{filepath.Join(f.top, "os-services"), "usr/lib/ros/os-services"},
		osPart{filepath.Join(f.kernelDir(), "usr/lib/modules"), "usr/lib/modules"}), nil
}

// overlayPart is what goes over everything else.
func (f *forge) overlayPart() []osPart {
	if f.overlay == "" {
		return nil
	}
	return []osPart{{f.overlay, ""}}
}

// mountPoints exist in the read-only root for what is mounted at boot.
var mountPoints = []string{"dev", "etc", "home", "media", "mnt", "opt", "proc", "root", "run", "state", "sys", "tmp", "var"}

// osImage makes os.img: EROFS followed by its verity tree. boot.json beside it
// says how to boot it.
func (f *forge) osImage() error {
	parts, err := f.osParts()
	if err != nil {
		return err
	}
	parts = append(parts, f.overlayPart()...)
	keys, err := f.trustedKeys()
	if err != nil {
		return err
	}
	key := []any{f.version, f.dense, forgeFormat, f.arch.Name, runtime.Version(), floor, keys}
	for _, p := range parts {
		h, err := f.partHash(p)
		if err != nil {
			return err
		}
		key = append(key, p.to, h)
	}
	return f.once(f.dir, "OS image", hash(key...), func() error {
		tree := f.osFile("tree")
		if err := f.assemble(tree, parts); err != nil {
			return err
		}
		if err := writeKeys(tree, keys); err != nil {
			return err
		}
		return f.seal(tree)
	})
}

// partHash is the hash of a part; of a layer and of the kernel it is the stamp,
// which says the same and is quick to read.
func (f *forge) partHash(p osPart) (string, error) {
	stamp := filepath.Join(f.shared, "stamps", "image "+filepath.Base(p.from))
	if p.to == "usr/lib/modules" {
		stamp = filepath.Join(f.dir, "stamps", "kernel")
	} else if !strings.HasPrefix(p.from, filepath.Join(f.shared, "layers")+"/") {
		return hashTree(p.from)
	}
	text, err := os.ReadFile(stamp)
	return string(text), err
}

// assemble hard-links the parts into one tree, the same content to the same
// inode: a library that the host and ten images carry is in the OS image, and
// later in memory, once.
func (f *forge) assemble(tree string, parts []osPart) error {
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	seen := map[string]string{}
	for _, p := range parts {
		if err := linkTree(p.from, filepath.Join(tree, p.to), seen); err != nil {
			return err
		}
	}
	for _, d := range mountPoints {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{
		"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
		"usr/sbin/poweroff": "../bin/ros", "usr/sbin/reboot": "../bin/ros", "usr/sbin/halt": "../bin/ros", "usr/sbin/shutdown": "../bin/ros", "usr/bin/system-docker": "ros",
	} {
		if err := relink(to, filepath.Join(tree, name)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(tree, "usr/lib64"), 0o755); err != nil {
		return err
	}
	r, err := f.running()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, release.RunningFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return nameVersion(filepath.Join(tree, "usr/lib/os-release"), r.Version)
}

// nameVersion adds the version to an os-release(5), for the programs that look
// there: docker info, agents that report what runs where. The services have the
// name alone, since an image that had the version would be another one in every
// release; those where somebody looks mount this file.
func nameVersion(file, version string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	named := strings.Replace(string(text), "PRETTY_NAME=\"Roster\"", fmt.Sprintf("PRETTY_NAME=\"Roster %s\"", version), 1)
	if named == string(text) {
		return fmt.Errorf("%s has no PRETTY_NAME=\"Roster\"", file)
	}
	// The tree is made of hard links: the file of the layer stays what it is.
	if err := os.Remove(file); err != nil {
		return err
	}
	return os.WriteFile(file, fmt.Appendf([]byte(named), "VERSION=\"%s\"\nVERSION_ID=%s\n", version, strings.TrimPrefix(version, "v")), 0o644)
}

// writeKeys puts the public keys into the tree, as files of root whoever made
// them.
func writeKeys(tree string, keys map[string][]byte) error {
	for name, text := range keys {
		to := filepath.Join(tree, release.KeysDir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := writeIfNew(to, text); err != nil {
			return err
		}
	}
	return nil
}

// linkTree links a file or a folder. seen maps content and metadata to the
// first file that had them.
func linkTree(from, to string, seen map[string]string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return copyDir(target, info)
		case info.Mode()&fs.ModeSymlink != 0:
			return copyLink(p, target)
		}
		h, err := fileHash(p)
		if err != nil {
			return err
		}
		id := hash(h, info.Mode(), owner(info))
		if first, ok := seen[id]; ok {
			p = first
		} else {
			seen[id] = target
		}
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Link(p, target)
	})
}

var rootHashLine = regexp.MustCompile(`Root hash:\s+([0-9a-f]{64})`)

// seal turns the tree into os.img. Identifiers and the salt are constants:
// nothing here is secret, and two builds must give the same bits.
func (f *forge) seal(tree string) error {
	img := f.osFile("os.img")
	if err := os.Remove(img); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	compress := []string{"-zlz4hc,9", "-C65536"}
	if f.dense {
		compress = []string{"-zzstd,12", "-C262144", "-Eztailpacking"}
	}
	mkfs := append([]string{"mkfs.erofs", "--quiet", fmt.Sprintf("-T%d", epoch), "-U", "7e3c7d2a-52f1-4a53-8d0b-3a5b0a6f0001", "-L", "ROSTER_OS"}, compress...)
	if err := f.inRoot(append(mkfs, img, tree)...); err != nil {
		return err
	}
	info, err := os.Stat(img)
	if err != nil {
		return err
	}
	offset := (info.Size() + 4095) / 4096 * 4096
	if err := os.Truncate(img, offset); err != nil {
		return err
	}
	out, err := f.rootOutput("veritysetup", "format", "--hash=sha256", "--data-block-size=4096", "--hash-block-size=4096",
		fmt.Sprintf("--data-blocks=%d", offset/4096), fmt.Sprintf("--hash-offset=%d", offset),
		"--salt="+hex.EncodeToString([]byte("roster")), "--uuid=7e3c7d2a-52f1-4a53-8d0b-3a5b0a6f0002", img, img)
	if err != nil {
		return err
	}
	m := rootHashLine.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("veritysetup told no root hash: %s", out)
	}
	boot := bootInfo{
		Kernel: "vmlinuz", Initrd: "initrd.img", OSImage: "os.img", ISO: "roster.iso", RootHash: string(m[1]), HashOffset: offset,
		Cmdline: fmt.Sprintf("ros.image=LABEL=%s:/roster/os.img ros.slot=iso ros.roothash=%s ros.hashoffset=%d %s", isoLabel, m[1], offset, kernelSettings),
		Console: f.arch.Console,
	}
	text, err := json.MarshalIndent(boot, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(f.osFile("boot.json"), append(text, '\n'), 0o644)
}

// kernelSettings are those of every boot. Huge pages only for those who ask
// (madvise): given to all, they double what small daemons take. The kernel leaves
// the watchdog to PID 1, which disarms it before a restart and not before a jump
// into a new kernel.
const kernelSettings = "transparent_hugepage=madvise watchdog.stop_on_reboot=0"

// bootInfo is boot.json: what a boot loader, or QEMU in its place, must know.
type bootInfo struct {
	Kernel     string `json:"kernel"` // file names are beside boot.json
	Initrd     string `json:"initrd"`
	OSImage    string `json:"os_image"`
	ISO        string `json:"iso"`
	RootHash   string `json:"root_hash"`
	HashOffset int64  `json:"hash_offset"`
	Cmdline    string `json:"cmdline"`
	Console    string `json:"console"`
}

func (f *forge) bootInfo() (bootInfo, error) {
	var b bootInfo
	text, err := os.ReadFile(f.osFile("boot.json"))
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal(text, &b)
}
