package main

import (
	"encoding/binary"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/reaper"
)

// boltFile builds a database of so many pages, as bolt lays it out: two meta
// pages, then the rest.
func boltFile(pages int, pageSize uint32) []byte {
	le := binary.LittleEndian
	file := make([]byte, pages*int(pageSize))
	for n := range 2 {
		meta := file[n*int(pageSize)+boltPageHead:]
		le.PutUint32(meta, boltMagic)
		le.PutUint32(meta[4:], boltVersion)
		le.PutUint32(meta[8:], pageSize)
		le.PutUint64(meta[40:], uint64(pages))
		le.PutUint64(meta[48:], uint64(10+n)) // txid
		sum := fnv.New64a()
		sum.Write(meta[:56])
		le.PutUint64(meta[56:], sum.Sum64())
	}
	return file
}

func TestCheckBolt(t *testing.T) {
	whole := func() []byte { return boltFile(8, 4096) }
	for _, tt := range []struct {
		name    string
		file    []byte // nil: none
		wantErr string
	}{
		{name: "missing"},
		{name: "empty: made anew", file: []byte{}},
		{name: "whole", file: whole()},
		{name: "large pages", file: boltFile(8, 65536)},
		{name: "room at the end", file: append(whole(), make([]byte, 8192)...)},
		{name: "one head damaged", file: append(make([]byte, 4096), whole()[4096:]...)},
		{name: "both heads damaged", file: append(make([]byte, 8192), whole()[8192:]...), wantErr: "neither of its heads is valid"},
		{name: "cut short", file: whole()[:20000], wantErr: "it has 20000 bytes, want 32768"},
		{name: "cut to nearly nothing", file: whole()[:50], wantErr: "neither of its heads is valid"},
		{name: "zeroes", file: make([]byte, 65536), wantErr: "neither of its heads is valid"},
		{name: "text", file: []byte(strings.Repeat("garbage ", 9000)), wantErr: "neither of its heads is valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "meta.db")
			if tt.file != nil {
				if err := os.WriteFile(path, tt.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := ""
			if tt.wantErr != "" {
				want = "database " + path + " is damaged: " + tt.wantErr
			}
			if got := errText(checkBolt(path)); got != want {
				t.Errorf("checkBolt = %q, want %q", got, want)
			}
		})
	}
}

func newRoot(t *testing.T, db []byte) *containerdRoot {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "containerd")
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, metaDB)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, metaDB), db, 0o600); err != nil {
		t.Fatal(err)
	}
	return &containerdRoot{dir: dir, log: quietLog()}
}

// noMounts notes what is mounted.
type noMounts struct {
	mounted []string
	err     error
}

func (n *noMounts) Mount(source, target, fstype string, flags uintptr, data string) error {
	n.mounted = append(n.mounted, fstype+" "+target+" "+data)
	return n.err
}

func (n *noMounts) Unmount(string, int) error { return nil }

func TestRootInMemory(t *testing.T) {
	const full = "the state disk is full: until the machine restarts with more room, the containers of services are in memory, and those of images that were pulled do not run"
	for _, tt := range []struct {
		name    string
		free    int64
		err     error // of the mount
		want    string
		mounted bool
	}{
		{name: "room", free: 32 << 20},
		{name: "none", free: 17 << 20, want: full, mounted: true},
		{name: "no memory either", free: 15 << 10, err: unix.ENOMEM, want: full + " (cannot mount ", mounted: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &containerdRoot{dir: filepath.Join(t.TempDir(), "containerd"), log: quietLog()}
			sys := &noMounts{err: tt.err}
			note := c.inMemory(sys, func(string) (int64, error) { return tt.free, nil })
			if !strings.HasPrefix(note, tt.want) || (tt.want == "") != (note == "") {
				t.Errorf("note %q, want %q", note, tt.want)
			}
			if mounted := len(sys.mounted) == 1 && sys.mounted[0] == "tmpfs "+c.dir+" mode=0711,size=25%"; mounted != tt.mounted {
				t.Errorf("mounted %q", sys.mounted)
			}
		})
	}
}

func asides(t *testing.T, c *containerdRoot) int {
	t.Helper()
	names, err := filepath.Glob(c.dir + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestDamagedRootIsSetAside(t *testing.T) {
	c := newRoot(t, boltFile(8, 4096)[:9000])
	note := c.check()
	if !strings.Contains(note, "was set aside as "+c.dir+".damaged-") || !strings.Contains(note, "is damaged") {
		t.Errorf("check = %q", note)
	}
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) || asides(t, c) != 1 {
		t.Errorf("the root is still there (%v), %d set aside", err, asides(t, c))
	}
	if note := c.check(); note != "" {
		t.Errorf("second check = %q, want nothing to do", note)
	}
}

func TestEarlyEndsSetTheRootAside(t *testing.T) {
	crash := run{exit: reaper.Exit{Code: 2}, lived: time.Second}
	killed := run{exit: reaper.Exit{Code: 137, Signal: unix.SIGKILL}, lived: time.Second, ready: true}
	long := run{exit: reaper.Exit{Code: 2}, lived: time.Hour, ready: true}
	fault := run{exit: reaper.Exit{Code: 135, Signal: unix.SIGBUS}, lived: time.Second, ready: true}
	for _, tt := range []struct {
		name string
		runs []run
		want int
	}{
		{"two crashes", []run{crash, crash}, 0},
		{"three crashes", []run{crash, crash, crash}, 1},
		{"crashes after it had answered", []run{fault, fault, fault}, 1},
		{"killed by the operator", []run{killed, killed, killed, killed}, 0},
		{"a long life between", []run{crash, crash, long, crash}, 0},
		{"once in a boot", []run{crash, crash, crash, crash, crash, crash, crash, crash}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newRoot(t, boltFile(8, 4096))
			for _, r := range tt.runs {
				c.ended(r)
				_ = c.check()
			}
			if got := asides(t, c); got != tt.want {
				t.Errorf("%d set aside, want %d", got, tt.want)
			}
		})
	}
}
