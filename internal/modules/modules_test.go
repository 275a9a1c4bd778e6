package modules_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/modules"
)

const (
	alias = `# Aliases extracted from modules themselves.
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
alias virtio:d00000002v* virtio_blk
alias virtio:d00000001v* virtio_net
alias pci:v00008086d0000100Esv*sd*bc*sc*i* e1000
alias acpi*:PNP0501:* serial_pnp
alias acpi*:PNP0C0A:* battery
alias fs-iso9660 isofs
alias iso9660 isofs
alias usb:v*p*d*dc*dsc*dp*ic08isc06ip50in* usb-storage
alias cpu:type:x86,ven0000fam*mod*:feature:*0099* aesni_intel
alias cpu:type:x86,ven*fam*mod*:feature:*0085* kvm_intel
alias pci:v00001AF4d*sv*sd*bc*sc*i* not_packed
alias crc32c crc32c_generic
`
	dep = `kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/virtio/virtio_ring.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/net/virtio_net.ko.xz:
kernel/drivers/net/e1000.ko.xz:
kernel/drivers/acpi/battery.ko.xz:
kernel/fs/isofs/isofs.ko.xz:
kernel/drivers/usb/storage/usb-storage.ko.xz: kernel/drivers/scsi/scsi_mod.ko.xz
kernel/drivers/scsi/scsi_mod.ko.xz:
kernel/crypto/aesni-intel.ko.xz:
kernel/arch/kvm-intel.ko.xz:
kernel/lib/crc32c_generic.ko:
kernel/fs/ext4/ext4.ko.xz:
kernel/lib/libcrc32c.ko:
kernel/fs/erofs/erofs.ko: kernel/lib/libcrc32c.ko
`
	softdep = `softdep ext4 pre: crc32c_generic not_there post: isofs
softdep isofs pre: ext4
softdep libcrc32c pre: crc32c
`
	builtin = "kernel/drivers/tty/serial_pnp.ko\nkernel/fs/fuse/fuse.ko\n"
)

// machine is a kernel without a kernel: a sysfs and the modules put into it.
type machine struct {
	t   *testing.T
	dir string
	sys string

	mu     sync.Mutex
	order  []string // "virtio_pci params"
	fail   map[string]error
	onLoad map[string]func() // devices that a driver brings to light
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, dir: t.TempDir(), sys: t.TempDir()}
	for name, text := range map[string]string{"modules.alias": alias, "modules.dep": dep, "modules.softdep": softdep, "modules.builtin": builtin} {
		m.write(filepath.Join(m.dir, name), text)
	}
	return m
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) device(bus, name, modalias string) {
	m.write(filepath.Join(m.sys, "bus", bus, "devices", name, "modalias"), modalias+"\n")
}

func (m *machine) insert(path, params string) error {
	rel, err := filepath.Rel(m.dir, path)
	if err != nil || !strings.HasPrefix(rel, "kernel/") {
		m.t.Errorf("Insert(%q): not a module file below %q", path, m.dir)
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	name = strings.ReplaceAll(name, "-", "_")
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail[name]; err != nil {
		return err
	}
	m.order = append(m.order, strings.TrimSpace(name+" "+params))
	m.write(filepath.Join(m.sys, "module", name, "initstate"), "live\n")
	if f := m.onLoad[name]; f != nil {
		f()
	}
	return nil
}

func (m *machine) loader(o modules.Options) *modules.Loader {
	m.t.Helper()
	o.Dir, o.Sys, o.Insert, o.Log = m.dir, m.sys, m.insert, slog.New(slog.DiscardHandler)
	l, err := modules.New(o)
	if err != nil {
		m.t.Fatalf("New() = %v", err)
	}
	return l
}

func TestColdplug(t *testing.T) {
	m := newMachine(t)
	m.device("pci", "0000:00:01.0", "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc80i00")
	m.device("acpi", "PNP0501:00", "acpi:PNP0501:")
	m.device("acpi", "PNP0C0A:00", "acpi:PNP0C0A:")
	m.device("memory", "memory0", "pci:v00008086d0000100Esv0sd0bc0sc0i0") // a bus that is not read
	m.device("platform", "nothing", "")
	m.onLoad = map[string]func(){
		"virtio_pci": func() { m.device("virtio", "virtio0", "virtio:d00000002v00001AF4") },
	}
	l := m.loader(modules.Options{Params: map[string]string{"virtio_blk": "queue_depth=8"}})

	loaded, err := l.Coldplug()
	if err != nil {
		t.Errorf("Coldplug() = %v, want nil", err)
	}
	if want := []string{"virtio_pci", "battery", "virtio_blk"}; !slices.Equal(loaded, want) {
		t.Errorf("Coldplug() = %q, want %q", loaded, want)
	}
	order := slices.DeleteFunc(slices.Clone(m.order), func(s string) bool { return s == "battery" }) // runs beside the others
	if want := []string{"virtio", "virtio_ring", "virtio_pci", "virtio_blk queue_depth=8"}; !slices.Equal(order, want) {
		t.Errorf("load order = %q, want %q", order, want)
	}

	// Again: nothing. Then a device is plugged in.
	if loaded, err := l.Coldplug(); len(loaded) != 0 || err != nil {
		t.Errorf("second Coldplug() = %q, %v, want nothing", loaded, err)
	}
	m.device("usb", "1-1:1.0", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00")
	if loaded, err := l.Coldplug(); !slices.Equal(loaded, []string{"usb_storage"}) || err != nil {
		t.Errorf("Coldplug() after plugging in = %q, %v, want usb_storage", loaded, err)
	}
	if want := []string{"scsi_mod", "usb_storage"}; !slices.Equal(m.order[len(m.order)-2:], want) {
		t.Errorf("load order = %q, want it to end with %q", m.order, want)
	}

	// A new loader, as after the root switch, finds it all loaded.
	if loaded, err := m.loader(modules.Options{}).Coldplug(); len(loaded) != 0 || err != nil {
		t.Errorf("Coldplug() of a new loader = %q, %v, want nothing", loaded, err)
	}
}

func TestColdplugFaults(t *testing.T) {
	m := newMachine(t)
	m.device("pci", "a", "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc80i00")
	m.device("pci", "b", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00")
	m.device("cpu", "cpu0", "cpu:type:x86,ven0000fam0006mod0055:feature:,0001,0085,0099,")
	m.fail = map[string]error{"virtio_ring": unix.ENOEXEC, "kvm_intel": unix.ENODEV}
	loaded, err := m.loader(modules.Options{Deny: []string{"e1000", "aesni-intel"}}).Coldplug()
	want := `cannot load kernel module "virtio_pci": kernel/drivers/virtio/virtio_ring.ko.xz: exec format error`
	if err == nil || err.Error() != want {
		t.Errorf("Coldplug() = %v, want %s", err, want)
	}
	if len(loaded) != 0 {
		t.Errorf("Coldplug() loaded %q, want nothing: e1000 is denied, kvm_intel has no device", loaded)
	}
}

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		name, module, params string
		want                 []string
		wantErr              string
	}{
		{name: "by name, with params", module: "virtio_blk", params: "x=1", want: []string{"virtio", "virtio_ring", "virtio_blk y=2 x=1"}},
		{name: "spelled with a dash", module: "usb-storage", want: []string{"scsi_mod", "usb_storage"}},
		{name: "by alias", module: "iso9660", want: []string{"ext4", "isofs"}},
		{name: "by alias with a dash", module: "fs-iso9660", want: []string{"ext4", "isofs"}},
		{name: "built in", module: "fuse"},
		{name: "denied ones load by name", module: "e1000", want: []string{"e1000"}},
		{name: "soft dependencies", module: "ext4", want: []string{"crc32c_generic", "ext4", "isofs"}},
		{name: "of what it needs, by alias", module: "erofs", want: []string{"crc32c_generic", "libcrc32c", "erofs"}},
		{name: "unknown", module: "none", wantErr: `cannot load kernel module "none": file does not exist`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			l := m.loader(modules.Options{Deny: []string{"e1000"}, Params: map[string]string{"virtio_blk": "y=2"}})
			for range 2 { // the second time nothing is left to do
				err := l.Load(tt.module, tt.params)
				if got := text(err); got != tt.wantErr {
					t.Fatalf("Load(%q) = %q, want %q", tt.module, got, tt.wantErr)
				}
			}
			if diff := cmp.Diff(tt.want, m.order); diff != "" {
				t.Errorf("Load(%q) order differs (-want +got):\n%s", tt.module, diff)
			}
		})
	}
}

func TestLoadAgainAfterFailure(t *testing.T) {
	m := newMachine(t)
	l := m.loader(modules.Options{})
	m.fail = map[string]error{"e1000": unix.ENODEV}
	if got, want := text(l.Load("e1000", "")), `cannot load kernel module "e1000": kernel/drivers/net/e1000.ko.xz: no such device`; got != want {
		t.Errorf("Load() = %q, want %q", got, want)
	}
	m.fail = nil
	if err := l.Load("e1000", ""); err != nil {
		t.Errorf("second Load() = %v, want nil", err)
	}
}

// TestLoadLacksSomething: that a module does not find what it needs is not that
// the module is not there.
func TestLoadLacksSomething(t *testing.T) {
	m := newMachine(t)
	m.fail = map[string]error{"libcrc32c": unix.ENOENT}
	err := m.loader(modules.Options{}).Load("erofs", "")
	if got, want := text(err), `cannot load kernel module "erofs": kernel/lib/libcrc32c.ko: something that it needs is not there`; got != want {
		t.Errorf("Load() = %q, want %q", got, want)
	}
	if errors.Is(err, fs.ErrNotExist) {
		t.Error("Load() says that there is no such module")
	}
}

func TestLoadedElsewhere(t *testing.T) {
	m := newMachine(t)
	m.fail = map[string]error{"e1000": unix.EEXIST}
	if err := m.loader(modules.Options{}).Load("e1000", ""); err != nil {
		t.Errorf("Load() = %v, want nil: it is there already", err)
	}
}

func TestNewNeedsModulesDep(t *testing.T) {
	dir := t.TempDir()
	_, err := modules.New(modules.Options{Dir: dir})
	if got, want := text(err), "cannot read the list of kernel modules: open "+dir+"/modules.dep: no such file or directory"; got != want {
		t.Errorf("New() = %q, want %q", got, want)
	}
}

func TestDir(t *testing.T) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if got, err := modules.Dir(root); err == nil {
		t.Errorf("Dir() of an empty root = %q, want an error", got)
	}
	want := filepath.Join(root, "usr/lib/modules", unix.ByteSliceToString(u.Release[:]))
	if err := os.MkdirAll(want, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := modules.Dir(root); got != want || err != nil {
		t.Errorf("Dir() = %q, %v, want %q", got, err, want)
	}
}

func TestFnmatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"abc", "abc", true}, {"abc", "abd", false},
		{"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abcb", false}, {"a*b*c", "axbxbxc", true},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"**a", "bba", true},
		{"[a-c]x", "bx", true}, {"[a-c]x", "dx", false}, {"[!a-c]x", "dx", true}, {"[!a-c]x", "ax", false},
		{"[0-9A-F]*", "F7", true}, {"[]", "[]", true}, {"a[", "a[", true}, {"[a-]", "-", true},
		{`\*a`, "*a", true}, {`\*a`, "ba", false},
		{"v*d*sv*", "v1d2sv3", true}, {"usb:v*ic08isc06ip50in*", "usb:v46ic08isc06ip50in00", true},
	} {
		if got := modules.Fnmatch(tt.pattern, tt.s); got != tt.want {
			t.Errorf("fnmatch(%q, %q) = %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

// BenchmarkColdplug is a machine with forty devices against the tables of a
// distribution's kernel.
func BenchmarkColdplug(b *testing.B) {
	dir, sys := b.TempDir(), b.TempDir()
	var aliases, deps strings.Builder
	for i := range 30000 {
		bus := []string{"pci", "pci", "usb", "of", "hid"}[i%5]
		fmt.Fprintf(&aliases, "alias %s:v%08Xd%08Xsv*sd*bc*sc*i* module_%d\n", bus, i%97, i, i/8)
	}
	for i := range 4000 {
		fmt.Fprintf(&deps, "kernel/drivers/some/where/module_%d.ko.xz:\n", i)
	}
	for name, text := range map[string]string{"modules.alias": aliases.String(), "modules.dep": deps.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 40 {
		device := filepath.Join(sys, "bus/pci/devices", fmt.Sprint(i))
		if err := os.MkdirAll(device, 0o755); err != nil {
			b.Fatal(err)
		}
		modalias := fmt.Sprintf("pci:v%08Xd%08Xsv0sd0bc0sc0i0\n", i*5%97, i*5)
		if err := os.WriteFile(filepath.Join(device, "modalias"), []byte(modalias), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		l, err := modules.New(modules.Options{Dir: dir, Sys: sys, Log: slog.New(slog.DiscardHandler), Insert: func(string, string) error { return nil }})
		if err != nil {
			b.Fatal(err)
		}
		if loaded, err := l.Coldplug(); err != nil || len(loaded) == 0 {
			b.Fatal(loaded, err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
