package blockdev_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/blockdev"
)

const mib = 1 << 20

// memory is a disk that dies after so many sectors written: what a power cut
// leaves behind.
type memory struct {
	data       []byte
	sector     int
	diesAfter  int // -1: never
	written    int
	syncsAfter []int
}

var errPower = errors.New("power cut")

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if int(off)+len(p) > len(m.data) {
		return 0, fmt.Errorf("write behind the end of the disk")
	}
	for n := 0; n < len(p); n += m.sector {
		if m.written == m.diesAfter {
			return n, errPower
		}
		m.written++
		copy(m.data[int(off)+n:], p[n:min(n+m.sector, len(p))])
	}
	return len(p), nil
}

func (m *memory) Sync() error {
	m.syncsAfter = append(m.syncsAfter, m.written)
	return nil
}

type part struct {
	name        string
	first, last uint64
}

// gptDisk is a disk of size bytes that carries the table of an image of
// imageSize bytes written to it, as cp or dd does.
func gptDisk(size, imageSize, sector int, parts ...part) *memory {
	m := &memory{data: make([]byte, size), sector: sector, diesAfter: -1}
	entries := make([]byte, 128*128)
	for i, p := range parts {
		if p.name == "" {
			continue
		}
		e := entries[i*128:]
		copy(e, "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4")
		e[16] = byte(i + 1)
		le.PutUint64(e[32:], p.first)
		le.PutUint64(e[40:], p.last)
		for j, u := range utf16.Encode([]rune(p.name)) {
			le.PutUint16(e[56+2*j:], u)
		}
	}
	total := imageSize / sector
	array := len(entries) / sector
	header := func(own, other, at int) {
		h := m.data[own*sector : own*sector+sector]
		copy(h, "EFI PART\x00\x00\x01\x00")
		le.PutUint32(h[12:], 92)
		le.PutUint64(h[24:], uint64(own))
		le.PutUint64(h[32:], uint64(other))
		le.PutUint64(h[40:], uint64(2+array))
		le.PutUint64(h[48:], uint64(total-array-2))
		copy(h[56:], "sixteen byte guid")
		le.PutUint64(h[72:], uint64(at))
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		copy(m.data[at*sector:], entries)
	}
	header(1, total-1, 2)
	header(total-1, 1, total-1-array)
	mbr := m.data[446:462]
	mbr[4] = 0xee
	le.PutUint32(mbr[8:], 1)
	le.PutUint32(mbr[12:], uint32(total-1))
	m.data[510], m.data[511] = 0x55, 0xaa
	return m
}

// check reads the table whose header is in sector own as a kernel does, and
// returns the partitions.
func (m *memory) check(own int) ([]part, error) {
	h := m.data[own*m.sector : own*m.sector+92]
	if string(h[:8]) != "EFI PART" {
		return nil, errors.New("no signature")
	}
	sum := le.Uint32(h[16:])
	zeroed := bytes.Clone(h)
	clear(zeroed[16:20])
	if crc32.ChecksumIEEE(zeroed) != sum {
		return nil, errors.New("header checksum")
	}
	if le.Uint64(h[24:]) != uint64(own) {
		return nil, errors.New("own position")
	}
	if last := le.Uint64(h[48:]); last >= uint64(len(m.data)/m.sector) {
		return nil, errors.New("usable area ends behind the disk")
	}
	at := int(le.Uint64(h[72:])) * m.sector
	entries := m.data[at : at+128*128]
	if crc32.ChecksumIEEE(entries) != le.Uint32(h[88:]) {
		return nil, errors.New("entries checksum")
	}
	var parts []part
	for e := entries; len(e) > 0; e = e[128:] {
		if e[0] == 0 {
			continue
		}
		var units []uint16
		for j := 56; j < 128 && le.Uint16(e[j:]) != 0; j += 2 {
			units = append(units, le.Uint16(e[j:]))
		}
		p := part{string(utf16.Decode(units)), le.Uint64(e[32:]), le.Uint64(e[40:])}
		if p.last > le.Uint64(h[48:]) {
			return nil, fmt.Errorf("partition %s ends behind the usable area", p.name)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func TestGrowGPT(t *testing.T) {
	esp, state := part{"ESP", 2048, 4095}, part{"RANCHER_STATE", 4096, 8191}
	for _, tt := range []struct {
		name      string
		disk      *memory
		partition int
		want      blockdev.Growth
		wantParts []part
		wantErr   string
	}{
		{
			name: "fills the disk", disk: gptDisk(16*mib, 5*mib, 512, esp, state), partition: 2,
			want:      blockdev.Growth{Grown: true, OldSize: 2 * mib, NewSize: 13 * mib},
			wantParts: []part{esp, {"RANCHER_STATE", 4096, 30719}},
		},
		{
			name: "number and place differ", disk: gptDisk(16*mib, 5*mib, 512, state, esp), partition: 1,
			want:      blockdev.Growth{Grown: true, OldSize: 2 * mib, NewSize: 13 * mib},
			wantParts: []part{{"RANCHER_STATE", 4096, 30719}, esp},
		},
		{
			name: "large sectors", disk: gptDisk(16*mib, 5*mib, 4096, part{"ESP", 256, 511}, part{"RANCHER_STATE", 512, 1023}), partition: 2,
			want:      blockdev.Growth{Grown: true, OldSize: 2 * mib, NewSize: 13 * mib},
			wantParts: []part{{"ESP", 256, 511}, {"RANCHER_STATE", 512, 3839}},
		},
		{
			name: "no gap before the first partition", disk: gptDisk(16*mib, 5*mib, 512, part{"ESP", 34, 4095}, state), partition: 2,
			want:      blockdev.Growth{Grown: true, OldSize: 2 * mib, NewSize: 13 * mib},
			wantParts: []part{{"ESP", 34, 4095}, {"RANCHER_STATE", 4096, 30719}},
		},
		{
			name: "full", disk: gptDisk(5*mib, 5*mib, 512, esp, state), partition: 2,
			want:      blockdev.Growth{OldSize: 2 * mib, NewSize: 2 * mib, Reason: "it fills the disk"},
			wantParts: []part{esp, state},
		},
		{
			name: "not the last", disk: gptDisk(16*mib, 5*mib, 512, esp, state), partition: 1,
			want:      blockdev.Growth{OldSize: mib, NewSize: mib, Reason: "partition 2 (RANCHER_STATE) lies behind it"},
			wantParts: []part{esp, state},
		},
		{
			name: "no such partition", disk: gptDisk(16*mib, 5*mib, 512, esp, state), partition: 3,
			wantErr: "the GPT has no partition 3", wantParts: []part{esp, state},
		},
		{
			name: "no table", disk: &memory{data: make([]byte, 16*mib), sector: 512}, partition: 1,
			want: blockdev.Growth{Reason: "there is no GPT on the disk"},
		},
		{
			name: "damaged header", disk: damaged(gptDisk(16*mib, 5*mib, 512, esp, state), 512+60), partition: 2,
			wantErr: "GPT header in sector 1: wrong checksum",
		},
		{
			name: "damaged entries", disk: damaged(gptDisk(16*mib, 5*mib, 512, esp, state), 1024+60), partition: 2,
			wantErr: "GPT entries in sector 2: wrong checksum",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			size, sector := int64(len(tt.disk.data)), int64(tt.disk.sector)
			before := bytes.Clone(tt.disk.data)
			extent, got, err := blockdev.GrowGPT(tt.disk, size, sector, tt.partition)
			if text(err) != tt.wantErr {
				t.Fatalf("GrowGPT() = %v, want %q", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("GrowGPT() differs (-want +got):\n%s", diff)
			}
			if !got.Grown {
				if !bytes.Equal(before, tt.disk.data) {
					t.Errorf("GrowGPT() wrote to the disk, although it did not grow anything")
				}
				return
			}
			if extent.Size != got.NewSize || extent.Start != 2*mib {
				t.Errorf("extent = %+v, want 2 MiB and %d", extent, got.NewSize)
			}
			for _, own := range []int{1, int(size/sector) - 1} {
				parts, err := tt.disk.check(own)
				if diff := cmp.Diff(tt.wantParts, parts, cmp.AllowUnexported(part{})); diff != "" || err != nil {
					t.Errorf("table in sector %d: %v (-want +got):\n%s", own, err, diff)
				}
			}
			if at := le.Uint64(tt.disk.data[sector+72:]); at != 2 {
				t.Errorf("the entries are in sector %d now, want 2", at)
			}
			if end := le.Uint32(tt.disk.data[458:]); end != uint32(size/sector-1) {
				t.Errorf("the protective MBR covers %d sectors, want %d", end, size/sector-1)
			}

			// Twice is as good as once.
			before = bytes.Clone(tt.disk.data)
			if _, again, err := blockdev.GrowGPT(tt.disk, size, sector, tt.partition); again.Grown || again.Reason != "it fills the disk" || err != nil {
				t.Errorf("second GrowGPT() = %+v, %v, want it to fill the disk", again, err)
			}
			if !bytes.Equal(before, tt.disk.data) {
				t.Errorf("the second GrowGPT() wrote to the disk")
			}
		})
	}
}

func damaged(m *memory, at int) *memory {
	m.data[at] ^= 0xff
	return m
}

// TestGrowGPTPowerCut cuts the power after every single sector: the primary
// table must be valid each time, and the next boot must finish the work.
func TestGrowGPTPowerCut(t *testing.T) {
	esp, state := part{"ESP", 2048, 4095}, part{"RANCHER_STATE", 4096, 8191}
	grown := []part{esp, {"RANCHER_STATE", 4096, 14335}}
	whole := gptDisk(8*mib, 5*mib, 512, esp, state)
	if _, _, err := blockdev.GrowGPT(whole, 8*mib, 512, 2); err != nil {
		t.Fatal(err)
	}
	for n := range whole.written {
		disk := gptDisk(8*mib, 5*mib, 512, esp, state)
		disk.diesAfter = n
		if _, _, err := blockdev.GrowGPT(disk, 8*mib, 512, 2); !errors.Is(err, errPower) {
			t.Fatalf("after %d sectors: GrowGPT() = %v, want the power cut", n, err)
		}
		parts, err := disk.check(1)
		if err != nil {
			t.Fatalf("after %d of %d sectors the primary table is broken: %v", n, whole.written, err)
		}
		if !cmp.Equal(parts, []part{esp, state}, cmp.AllowUnexported(part{})) && !cmp.Equal(parts, grown, cmp.AllowUnexported(part{})) {
			t.Fatalf("after %d sectors the partitions are %v", n, parts)
		}
		disk.diesAfter = -1
		if _, _, err := blockdev.GrowGPT(disk, 8*mib, 512, 2); err != nil {
			t.Fatalf("after %d sectors: second GrowGPT() = %v", n, err)
		}
		for _, own := range []int{1, 8*mib/512 - 1} {
			parts, err := disk.check(own)
			if diff := cmp.Diff(grown, parts, cmp.AllowUnexported(part{})); diff != "" || err != nil {
				t.Fatalf("after %d sectors and a second try, table in sector %d: %v (-want +got):\n%s", n, own, err, diff)
			}
		}
	}
}

// TestGrowGPTSparesBootLoaders has something in the gap before the first
// partition: it must not be used as scratch space.
func TestGrowGPTSparesBootLoaders(t *testing.T) {
	disk := gptDisk(16*mib, 5*mib, 512, part{"ESP", 2048, 4095}, part{"RANCHER_STATE", 4096, 8191})
	loader := disk.data[64*512 : 64*512+6]
	copy(loader, "loader")
	if _, g, err := blockdev.GrowGPT(disk, 16*mib, 512, 2); !g.Grown || err != nil {
		t.Fatalf("GrowGPT() = %+v, %v, want it grown", g, err)
	}
	if string(loader) != "loader" {
		t.Errorf("the boot loader is %q now", loader)
	}
}

func TestGrow(t *testing.T) {
	b := newBench(t)
	disk := gptDisk(16*mib, 5*mib, 512, part{"ESP", 2048, 4095}, part{"RANCHER_STATE", 4096, 8191})
	b.disk("vda", 16*mib, disk.data)
	b.partition("vda", 1, mib, "ESP", nil)
	b.partition("vda", 2, 2*mib, "RANCHER_STATE", nil)
	b.disk("vdb", mib, nil)
	b.disk("vdc", mib, nil)
	b.partition("vdc", 1, mib, "", nil)
	if err := os.Remove(filepath.Join(b.Dev, "vdc")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		device  string
		want    blockdev.Growth
		wantErr string
	}{
		{device: "vda2", want: blockdev.Growth{Grown: true, OldSize: 2 * mib, NewSize: 13 * mib}},
		{device: "vda1", want: blockdev.Growth{OldSize: mib, NewSize: mib, Reason: "partition 2 (RANCHER_STATE) lies behind it"}},
		{device: "vdb", want: blockdev.Growth{OldSize: mib, NewSize: mib, Reason: "it is a whole disk"}},
		{device: "vdc1", wantErr: "cannot grow partition \"DEV/vdc1\": open DEV/vdc: no such file or directory"},
	} {
		d, err := b.Find(filepath.Join(b.Dev, tt.device))
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Grow(d)
		if diff := cmp.Diff(tt.want, got); diff != "" || strings.ReplaceAll(text(err), b.Dev, "DEV") != tt.wantErr {
			t.Errorf("Grow(%s) = %v, want %q (-want +got):\n%s", tt.device, err, tt.wantErr, diff)
		}
	}
}
