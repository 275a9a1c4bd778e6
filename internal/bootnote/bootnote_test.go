package bootnote_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootnote"
)

// partition is an empty one, as a file.
func partition(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "note")
	if err := os.WriteFile(path, make([]byte, bootnote.PartSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func note(phase string, lines int) bootnote.Note {
	at := time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC)
	n := bootnote.Note{
		BootID: "3e1c", Slot: "B", RootHash: "b66236", Version: "v0.2.0", Tries: 1,
		Began: at, Phase: phase, At: at.Add(time.Second), Uptime: 1.5, Stops: 1,
	}
	for i := range lines {
		n.Lines = append(n.Lines, fmt.Sprintf("[%7d.000] a line of the log that is about as long as they are", i))
	}
	return n
}

func write(t *testing.T, path string, n bootnote.Note) {
	t.Helper()
	if err := bootnote.Write(path, n); err != nil {
		t.Fatal(err)
	}
}

func TestWriteThenRead(t *testing.T) {
	path := partition(t)
	if _, err := bootnote.Read(path); !errors.Is(err, bootnote.ErrNone) {
		t.Errorf("Read of nothing: %v, want %v", err, bootnote.ErrNone)
	}
	for i := range 5 {
		want := note(fmt.Sprintf("phase %d", i), 20*i)
		if i == 4 {
			want.Outcome, want.Reason, want.Check = bootnote.Failed, "the root hash differs", "phase verity"
		}
		write(t, path, want)
		got, err := bootnote.Read(path)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("Read: %v (-want +got):\n%s", err, diff)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != bootnote.PartSize {
		t.Errorf("the partition has %d bytes now (%v)", info.Size(), err)
	}
}

func TestLongLogKeepsItsEnd(t *testing.T) {
	path := partition(t)
	n := note("rosd", 20000)
	write(t, path, n)
	got, err := bootnote.Read(path)
	if err != nil || len(got.Lines) < 100 || got.Lines[len(got.Lines)-1] != n.Lines[len(n.Lines)-1] {
		t.Errorf("%d lines (%v), want as many as fit and the last one", len(got.Lines), err)
	}
	n.Reason = strings.Repeat("x", 1<<20)
	err = bootnote.Write(path, n)
	if err == nil || !strings.Contains(err.Error(), "without its log lines, more than 131072") {
		t.Errorf("Write of an endless reason: %v", err)
	}
}

// Whatever part of a write reaches the disk, the note before it or the whole
// new one is read.
func TestTornWrites(t *testing.T) {
	const sector = 512
	path := partition(t)
	var before bootnote.Note
	for round, n := range []bootnote.Note{note("mounts", 0), note("image", 30), note("rosd", 5), note("rosd", 200)} {
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, n)
		done, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var changed []int // sectors
		for at := 0; at < len(old); at += sector {
			if !bytes.Equal(old[at:at+sector], done[at:at+sector]) {
				changed = append(changed, at)
			}
		}
		check := func(what string, sectors []int) {
			t.Helper()
			torn := bytes.Clone(old)
			for _, at := range sectors {
				copy(torn[at:at+sector], done[at:])
			}
			cut := filepath.Join(t.TempDir(), "cut")
			if err := os.WriteFile(cut, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			want := before
			if len(sectors) == len(changed) {
				want = n
			}
			got, err := bootnote.Read(cut)
			if round == 0 && len(sectors) < len(changed) {
				if !errors.Is(err, bootnote.ErrNone) {
					t.Errorf("round %d, %s: %v, want %v", round, what, err, bootnote.ErrNone)
				}
			} else if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("round %d, %s: %v (-want +got):\n%s", round, what, err, diff)
			}
			// The next write finds its way too.
			after := note("after", 1)
			write(t, cut, after)
			if got, err := bootnote.Read(cut); err != nil || !cmp.Equal(got, after) {
				t.Errorf("round %d, %s: the write after it reads %+v, %v", round, what, got, err)
			}
		}
		for i := range len(changed) + 1 {
			check(fmt.Sprintf("cut behind sector %d", i), changed[:i])
			check(fmt.Sprintf("without the first %d sectors", i), changed[i:])
		}
		r := rand.New(rand.NewPCG(uint64(round), 4))
		for i := range 16 { // a disk may write in any order
			some := append([]int(nil), changed...)
			r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			check(fmt.Sprintf("random part %d", i), some[:r.IntN(len(some)+1)])
		}
		before = n
	}
}

// Any flipped bit of the newest copy brings back the one before it.
func TestFlippedBits(t *testing.T) {
	path := partition(t)
	first, second := note("image", 1), note("verity", 1)
	write(t, path, first)
	write(t, path, second)
	disk, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const second0 = bootnote.PartSize / 2
	length := int(binary.LittleEndian.Uint32(disk[second0+12:]))
	for i := range 56 + length {
		at := second0 + i
		if i >= 56 {
			at = second0 + 4096 + i - 56
		}
		disk[at] ^= 1 << (i % 8)
		if err := os.WriteFile(path, disk, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := bootnote.Read(path); err != nil || !cmp.Equal(got, first) {
			t.Fatalf("byte %d flipped: %+v, %v", at, got, err)
		}
		disk[at] ^= 1 << (i % 8)
	}
}

func TestErrors(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := bootnote.Read(short)
	if err == nil || errors.Is(err, bootnote.ErrNone) || !strings.HasPrefix(err.Error(), fmt.Sprintf("cannot read boot note on %q: ", short)) {
		t.Errorf("Read of a short device: %v", err)
	}
	if err := bootnote.Write(filepath.Join(t.TempDir(), "none"), bootnote.Note{}); err == nil || !strings.HasPrefix(err.Error(), "cannot write boot note: open ") {
		t.Errorf("Write to nothing: %v", err)
	}
}

// sysfs makes a host with these partitions, name -> PARTLABEL.
func sysfs(t *testing.T, parts map[string]string) blockdev.Host {
	t.Helper()
	h := blockdev.Host{Sys: t.TempDir(), Dev: t.TempDir()}
	class := filepath.Join(h.Sys, "class/block")
	if err := os.MkdirAll(class, 0o755); err != nil {
		t.Fatal(err)
	}
	entry := func(dir string, files map[string]string) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_ = os.Symlink(dir, filepath.Join(class, filepath.Base(dir)))
	}
	for name, label := range parts {
		disk := strings.TrimRight(name, "0123456789")
		number := strings.TrimPrefix(name, disk)
		dir := filepath.Join(h.Sys, "devices", disk)
		entry(dir, map[string]string{"size": "99999", "uevent": "DEVNAME=" + disk + "\n"})
		entry(filepath.Join(dir, name), map[string]string{
			"size": "2048", "partition": number,
			"uevent": fmt.Sprintf("DEVNAME=%s\nPARTNAME=%s\nPARTUUID=uuid-%s\n", name, label, name),
		})
	}
	return h
}

func TestFind(t *testing.T) {
	one := map[string]string{"vda3": "ROOT_A", "vda5": "BOOT_NOTE"}
	two := map[string]string{"vda3": "ROOT_A", "vda5": "BOOT_NOTE", "vdb3": "ROOT_A", "vdb5": "BOOT_NOTE", "vdc1": "ROSTER"}
	for _, tt := range []struct {
		name    string
		parts   map[string]string
		image   string
		want    string
		wantErr string
	}{
		{name: "one disk", parts: one, image: "PARTUUID=uuid-vda3", want: "vda5"},
		{name: "two disks", parts: two, image: "PARTUUID=uuid-vdb3", want: "vdb5"},
		{name: "the image is not there", parts: one, image: "PARTUUID=gone", want: "vda5"},
		{name: "the image is elsewhere", parts: map[string]string{"vda5": "BOOT_NOTE", "vdc1": "ROSTER"}, image: "PARTLABEL=ROSTER", want: "vda5"},
		{name: "nobody knows", parts: one, want: "vda5"},
		{name: "nobody knows which", parts: two, image: "PARTUUID=gone",
			wantErr: `cannot find boot note: none of ["DEV/vda5" "DEV/vdb5"] is on the disk of the OS image`},
		{name: "not there", parts: map[string]string{"vda3": "ROOT_A"}, image: "PARTUUID=uuid-vda3",
			wantErr: "cannot find boot note: no partition BOOT_NOTE: no such device"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := sysfs(t, tt.parts)
			got, err := bootnote.Find(h, tt.image)
			got = strings.TrimPrefix(got, h.Dev+"/")
			msg := ""
			if err != nil {
				msg = strings.ReplaceAll(err.Error(), h.Dev, "DEV")
			}
			if got != tt.want || msg != tt.wantErr {
				t.Errorf("Find = %q, %q, want %q, %q", got, msg, tt.want, tt.wantErr)
			}
		})
	}
}
