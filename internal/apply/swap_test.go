package apply_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

const mib = 1 << 20

func swapOf(filename string, size, most config.Size) config.Config {
	return config.Config{Swap: config.Swap{Filename: filename, Size: size, MaxSize: most}}
}

// needFallocate skips where the file system of tests cannot do it.
func needFallocate(t *testing.T, m *machine) {
	f, err := os.Create(m.Path("probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 4096); errors.Is(err, unix.EOPNOTSUPP) {
		if os.Getenv("CI") == "true" {
			t.Fatal("no fallocate here")
		}
		t.Skip("no fallocate here")
	}
}

func TestSwap(t *testing.T) {
	m := newMachine(t)
	needFallocate(t, m)
	m.write("var/lib/rancher/x", "")
	m.write("proc/meminfo", "MemTotal:        3100 kB\nMemFree: 1 kB\n")
	size := func(path string, want int64) {
		t.Helper()
		info, err := os.Stat(m.Path(path))
		if err != nil || info.Size() != want || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v, want %d bytes for root only", path, info, err, want)
		}
	}
	m.expect(apply.Swap, swapOf("", 2*mib+5, 0), did("swap is in /var/swapfile"), "")
	m.called("run /usr/bin/busybox mkswap /var/swapfile", "swapon /var/swapfile")
	size("var/swapfile", 2*mib)

	m.expect(apply.Swap, swapOf("", -1, 0), apply.Outcome{}, "") // it need not be as much as there is memory
	m.expect(apply.Swap, swapOf("", 5*mib, 0), did("swap is in /var/swapfile"), "")
	size("var/swapfile", 5*mib)
	m.expect(apply.Swap, swapOf("", -1, 0), did("swap is in /var/swapfile"), "") // but not more
	size("var/swapfile", 3*mib)
	m.expect(apply.Swap, swapOf("", -1, 1*mib), did("swap is in /var/swapfile"), "")
	m.called(
		"swapoff /var/swapfile", "run /usr/bin/busybox mkswap /var/swapfile", "swapon /var/swapfile",
		"swapoff /var/swapfile", "run /usr/bin/busybox mkswap /var/swapfile", "swapon /var/swapfile",
		"swapoff /var/swapfile", "run /usr/bin/busybox mkswap /var/swapfile", "swapon /var/swapfile",
	)
	size("var/swapfile", 1*mib)

	// After a reboot the file is there and not in use.
	m.write("proc/swaps", "Filename Type Size Used Priority\n")
	m.expect(apply.Swap, swapOf("", 1*mib, 0), did("swap is in /var/swapfile"), "")
	m.called("swapon /var/swapfile")

	m.expect(apply.Swap, swapOf("/var/other", 1*mib, 0), did("no more swap in /var/swapfile", "swap is in /var/other"), "")
	m.want(map[string]string{"var/swapfile": "(none)"})
	m.expect(apply.Swap, config.Config{}, did("no more swap in /var/other"), "")
	m.want(map[string]string{"var/other": "(none)", "var/lib/rancher/conf/swapfile": "(none)"})
}

func TestSwapFaults(t *testing.T) {
	m := newMachine(t)
	needFallocate(t, m)
	m.write("var/somebodys", "text")
	m.write("var/dir/x", "")
	m.write("proc/self/mountinfo", m.read("proc/self/mountinfo")+"30 20 0:9 / /var/memory rw - tmpfs tmpfs rw\n")
	m.fail["run /usr/bin/busybox mkswap /var/mkswap"] = errors.New("busybox: exit status 1: no")
	for _, tt := range []struct {
		cfg  config.Config
		want string
	}{
		{swapOf("/var/somebodys", mib, 0), "swap: cannot swap to /var/somebodys: there is a file already, which is not for swap"},
		{swapOf("/var/dir", mib, 0), "swap: cannot swap to /var/dir: it is not a file"},
		{swapOf("/var/memory/swap", mib, 0), "swap: cannot swap to /var/memory/swap: it would be in memory itself: there is no disk below it"},
		{swapOf("/var/x", 5, 0), "swap: cannot swap to /var/x: it would be smaller than 1 MiB"},
		{swapOf("/var/mkswap", mib, 0), "swap: cannot swap to /var/mkswap: busybox: exit status 1: no"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			m.t = t
			m.expect(apply.Swap, tt.cfg, apply.Outcome{}, tt.want)
		})
	}
	m.want(map[string]string{"var/somebodys": "text", "var/mkswap": "(none)", "var/lib/rancher/conf/swapfile": "(none)"})
}

func TestSwapTooLarge(t *testing.T) {
	m := newMachine(t)
	cfg := swapOf("", 1<<60, 0)
	_, err := apply.Swap(t.Context(), m.Host, &cfg)
	if err == nil {
		t.Fatal("a file of 2^60 bytes fits")
	}
	m.want(map[string]string{"var/swapfile": "(none)", "var/lib/rancher/conf/swapfile": "(none)"})
}
