package mounts_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/mounts"
)

// kernel records the calls; fail says which of them fail, and how often.
type kernel struct {
	calls []string
	fail  map[string]int // call -> how many times more
	err   error
}

func (k *kernel) do(call string) error {
	k.calls = append(k.calls, call)
	if k.fail[call] > 0 {
		k.fail[call]--
		return k.err
	}
	return nil
}

func (k *kernel) Mount(source, target, fstype string, flags uintptr, data string) error {
	verb := "mount"
	if flags&unix.MS_REMOUNT != 0 {
		verb = "remount"
	}
	return k.do(strings.TrimSpace(fmt.Sprintf("%s %s %s", verb, source, filepath.Base(target))))
}

func (k *kernel) Unmount(target string, flags int) error {
	verb := "unmount"
	if flags&unix.MNT_DETACH != 0 {
		verb = "detach"
	}
	return k.do(verb + " " + filepath.Base(target))
}

func TestAll(t *testing.T) {
	dir := t.TempDir()
	table := []mounts.Mount{
		{Source: "A", Target: filepath.Join(dir, "a"), Type: "tmpfs"},
		{Source: "B", Target: filepath.Join(dir, "a/b"), Type: "tmpfs", Optional: true},
		mounts.Bind("C", filepath.Join(dir, "c"), unix.MS_RDONLY),
		{Source: "D", Target: filepath.Join(dir, "d"), Type: "ext4"},
	}
	for _, tt := range []struct {
		name         string
		fail         map[string]int
		wantCalls    []string
		wantWarnings []string
		wantErr      string
	}{
		{
			name:      "in order, bind mounts in two steps",
			wantCalls: []string{"mount A a", "mount B b", "mount C c", "remount  c", "mount D d"},
		},
		{
			name:         "an optional one is gone without",
			fail:         map[string]int{"mount B b": 1},
			wantCalls:    []string{"mount A a", "mount B b", "mount C c", "remount  c", "mount D d"},
			wantWarnings: []string{`cannot mount B at "` + dir + `/a/b": no such device`},
		},
		{
			name:      "unwound on failure",
			fail:      map[string]int{"mount D d": 1},
			wantCalls: []string{"mount A a", "mount B b", "mount C c", "remount  c", "mount D d", "detach c", "detach b", "detach a"},
			wantErr:   `cannot mount D at "` + dir + `/d": no such device`,
		},
		{
			name:      "half a bind mount is unwound too",
			fail:      map[string]int{"remount  c": 1},
			wantCalls: []string{"mount A a", "mount B b", "mount C c", "remount  c", "detach c", "detach b", "detach a"},
			wantErr:   `cannot mount C at "` + dir + `/c": no such device`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &kernel{fail: tt.fail, err: unix.ENODEV}
			warnings, err := mounts.All(k, table)
			if got := text(err); got != tt.wantErr {
				t.Errorf("All() error = %q, want %q", got, tt.wantErr)
			}
			if diff := cmp.Diff(tt.wantWarnings, warnings); diff != "" {
				t.Errorf("All() warnings differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantCalls, k.calls); diff != "" {
				t.Errorf("All() calls differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEarlyIsOrdered(t *testing.T) {
	var seen []string
	for _, m := range mounts.Early() {
		if slices.Contains(seen, m.Target) {
			t.Errorf("%s stands twice", m.Target)
		}
		seen = append(seen, m.Target)
	}
	for _, pair := range [][2]string{{"/dev", "/dev/pts"}, {"/dev", "/dev/shm"}, {"/sys", "/sys/fs/cgroup"}} {
		if slices.Index(seen, pair[0]) > slices.Index(seen, pair[1]) {
			t.Errorf("%s is mounted after %s", pair[0], pair[1])
		}
	}
}

const mountinfo = `21 1 253:0 / / ro,relatime shared:1 - erofs /dev/dm-0 ro
22 21 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw
23 21 0:20 / /proc rw - proc proc rw
24 21 0:21 / /run rw,nosuid - tmpfs run rw
25 21 8:4 / /state rw,noatime shared:2 - ext4 /dev/vda4 rw
26 21 8:4 /var /var rw,noatime shared:2 - ext4 /dev/vda4 rw
27 26 8:5 / /var/my\040disk rw - xfs /dev/vdb rw
28 24 0:44 / /run/ros/net rw - tmpfs net rw
`

func TestUnmountAll(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fail    map[string]int
		want    []string
		wantErr string
	}{
		{
			name: "backwards, without the root and the kernel's own",
			want: []string{"unmount my disk", "unmount var", "unmount state"},
		},
		{
			name: "again as long as it helps",
			fail: map[string]int{"unmount var": 1, "unmount state": 2},
			want: []string{"unmount my disk", "unmount var", "unmount state",
				"unmount var", "unmount state", "unmount state"},
		},
		{
			name: "read-only and detached in the end",
			fail: map[string]int{"unmount state": 9},
			want: []string{"unmount my disk", "unmount var", "unmount state",
				"unmount state", "remount  state", "detach state"},
		},
		{
			name: "named when even that fails",
			fail: map[string]int{"unmount state": 9, "remount  state": 1},
			want: []string{"unmount my disk", "unmount var", "unmount state",
				"unmount state", "remount  state", "detach state"},
			wantErr: `cannot unmount "/state": it is busy, and cannot be made read-only: device or resource busy`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &kernel{fail: tt.fail, err: unix.EBUSY}
			err := mounts.UnmountAll(k, strings.NewReader(mountinfo), slog.New(slog.DiscardHandler))
			if got := text(err); got != tt.wantErr {
				t.Errorf("UnmountAll() = %q, want %q", got, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, k.calls); diff != "" {
				t.Errorf("UnmountAll() calls differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnmountAllForgetsWhatIsGone(t *testing.T) {
	k := &kernel{fail: map[string]int{"unmount var": 9}, err: unix.EINVAL}
	if err := mounts.UnmountAll(k, strings.NewReader(mountinfo), slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("UnmountAll() = %v, want nil: what is not mounted needs no unmounting", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
