package verity_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/verity"
)

// rootHash is what veritysetup 2.7.5 printed for the image of image(300), with
// --salt and --uuid as below.
const (
	rootHash = "28b558f537bbe7fbe32e8278b8c209ba34eed24f4be018aa781a0a60a9b8236b"
	saltHex  = "00112233445566778899aabbccddeeff"
	block    = 4096
)

// image is blocks of data followed by superblock and hash tree.
func image(blocks int) []byte {
	var data []byte
	for i := range blocks {
		b := bytes.Repeat([]byte{byte(i)}, block)
		copy(b, fmt.Sprintf("block %d ", i))
		data = append(data, b...)
	}
	salt, _ := hex.DecodeString(saltHex)
	sb := make([]byte, block)
	copy(sb, "verity\x00\x00")
	le := binary.LittleEndian
	le.PutUint32(sb[8:], 1)
	le.PutUint32(sb[12:], 1)
	copy(sb[16:], "\x11\x11\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x55\x55\x55\x55")
	copy(sb[32:], "sha256")
	le.PutUint32(sb[64:], block)
	le.PutUint32(sb[68:], block)
	le.PutUint64(sb[72:], uint64(blocks))
	le.PutUint16(sb[80:], uint16(len(salt)))
	copy(sb[88:], salt)

	var tree []byte
	for level := data; len(level) > block; {
		var hashes []byte
		for b := level; len(b) > 0; b = b[block:] {
			sum := sha256.Sum256(append(bytes.Clone(salt), b[:block]...))
			hashes = append(hashes, sum[:]...)
		}
		level = append(hashes, make([]byte, -len(hashes)&(block-1))...)
		tree = append(level, tree...)
	}
	return append(append(data, sb...), tree...)
}

func TestReadSuperblock(t *testing.T) {
	good := image(300)
	const offset = 300 * block
	salt, _ := hex.DecodeString(saltHex)
	want := verity.Superblock{HashType: 1, UUID: "11111111-2222-3333-4444-555555555555", Algorithm: "sha256",
		DataBlockSize: block, HashBlockSize: block, DataBlocks: 300, Salt: salt}
	got, err := verity.ReadSuperblock(bytes.NewReader(good), offset)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("ReadSuperblock() = %v (-want +got):\n%s", err, diff)
	}

	prefix := fmt.Sprintf("cannot read verity superblock at byte %d: ", offset)
	for _, tt := range []struct {
		name    string
		at      int
		change  string
		wantErr string
	}{
		{"none", 0, "x", "there is none"},
		{"version", 8, "\x02", "version 2, want 1"},
		{"hash type", 12, "\x00", "hash type 0, want 1"},
		{"algorithm", 32, "sha512", `algorithm "sha512", want sha256`},
		{"block size", 64, "\x01", "blocks of 4097 and 4096 bytes, want 512 to 65536"},
		{"no data", 72, "\x00\x00", "0 data blocks"},
		{"more data than there is", 72, "\x2d", "301 data blocks do not fit in front of it"},
		{"salt", 80, "\xff\xff", "salt of 65535 bytes, want at most 256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := bytes.Clone(good)
			copy(bad[offset+tt.at:], tt.change)
			if _, err := verity.ReadSuperblock(bytes.NewReader(bad), offset); text(err) != prefix+tt.wantErr {
				t.Errorf("ReadSuperblock() = %v, want %s", err, prefix+tt.wantErr)
			}
		})
	}
	if _, err := verity.ReadSuperblock(bytes.NewReader(good), int64(len(good))); text(err) != fmt.Sprintf("cannot read verity superblock at byte %d: EOF", len(good)) {
		t.Errorf("ReadSuperblock() behind the end = %v, want EOF", err)
	}
}

// mapper stands for the kernel's device mapper.
type mapper struct {
	t     *testing.T
	dev   string
	calls []string
	fail  map[string]error
	first []byte // what can be read from the device once it runs
}

func (m *mapper) ioctl(_ *os.File, command uint, msg []byte) error {
	ne := binary.NativeEndian
	if major, size, start := ne.Uint32(msg), ne.Uint32(msg[12:]), ne.Uint32(msg[16:]); major != 4 || int(size) != len(msg) || start != 312 {
		m.t.Errorf("message header: version %d, size %d of %d, data from %d", major, size, len(msg), start)
	}
	name := unix.ByteSliceToString(msg[48:176])
	var call string
	switch command {
	case unix.DM_DEV_CREATE:
		call = "create " + name + " " + unix.ByteSliceToString(msg[176:305])
		ne.PutUint64(msg[40:], unix.Mkdev(253, 7))
	case unix.DM_TABLE_LOAD:
		target := msg[312:]
		next := ne.Uint32(target[20:])
		call = fmt.Sprintf("load %s flags=%d targets=%d %d+%d %s: %s", name, ne.Uint32(msg[28:]), ne.Uint32(msg[20:]),
			ne.Uint64(target), ne.Uint64(target[8:]), unix.ByteSliceToString(target[24:40]), unix.ByteSliceToString(target[40:next]))
		if next%8 != 0 {
			m.t.Errorf("next target at %d, want a multiple of 8", next)
		}
	case unix.DM_DEV_SUSPEND:
		call = fmt.Sprintf("resume %s flags=%d", name, ne.Uint32(msg[28:]))
		if err := os.WriteFile(filepath.Join(m.dev, "dm-7"), m.first, 0o644); err != nil {
			m.t.Fatal(err)
		}
	case unix.DM_DEV_REMOVE:
		call = "remove " + name
	case unix.DM_TABLE_STATUS:
		call = "status " + name
		ne.PutUint32(msg[20:], 1)
		copy(msg[312+40:], "C\x00")
	default:
		m.t.Errorf("unknown command %#x", command)
	}
	m.calls = append(m.calls, call)
	verb, _, _ := strings.Cut(call, " ")
	return m.fail[verb]
}

func TestOpen(t *testing.T) {
	const offset = 300 * block
	create := "create root CRYPT-VERITY-11111111222233334444555555555555-root"
	tail := " sha256 " + rootHash + " " + saltHex
	for _, tt := range []struct {
		name      string
		rootHash  string
		change    int // byte of the image to flip; 0: none
		name2     string
		fail      map[string]error
		first     int // bytes that the new device gives out
		wantErr   string
		wantCalls []string
		mismatch  bool
	}{
		{
			name: "good", rootHash: strings.ToUpper(rootHash), first: block,
			wantCalls: []string{create, "load root flags=1 targets=1 0+2400 verity: 1 IMAGE IMAGE 4096 4096 300 301" + tail, "resume root flags=1"},
		},
		{
			name: "another image", rootHash: strings.Repeat("ab", 32),
			wantErr:  "the image does not have this root hash: it is " + rootHash + ", want " + strings.Repeat("ab", 32),
			mismatch: true,
		},
		{name: "top of the tree damaged", rootHash: rootHash, change: 301*block + 5, wantErr: "MISMATCH", mismatch: true},
		{name: "superblock damaged", rootHash: rootHash, change: 300 * block, wantErr: "cannot read verity superblock at byte 1228800: there is none"},
		{name: "no root hash", wantErr: `root hash "": want 64 hexadecimal digits`},
		{name: "short root hash", rootHash: "abcd", wantErr: `root hash "abcd": want 64 hexadecimal digits`},
		{
			name: "name taken", rootHash: rootHash, fail: map[string]error{"create": unix.EBUSY},
			wantErr: "device mapper: create root: device or resource busy", wantCalls: []string{create},
		},
		{
			name: "no verity target", rootHash: rootHash, fail: map[string]error{"load": unix.EINVAL},
			wantErr:   "device mapper: load verity table: invalid argument",
			wantCalls: []string{create, "load root flags=1 targets=1 0+2400 verity: 1 IMAGE IMAGE 4096 4096 300 301" + tail, "remove root"},
		},
		{
			name: "first block damaged", rootHash: rootHash, first: 100,
			wantErr:   "the image is damaged: EOF",
			wantCalls: []string{create, "load root flags=1 targets=1 0+2400 verity: 1 IMAGE IMAGE 4096 4096 300 301" + tail, "resume root flags=1", "remove root"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "image")
			content := image(300)
			if tt.change > 0 {
				content[tt.change] ^= 1
			}
			write(t, path, content)
			write(t, filepath.Join(dir, "mapper/control"), nil)
			m := &mapper{t: t, dev: dir, fail: tt.fail, first: make([]byte, tt.first)}
			h := verity.Host{Sys: dir, Dev: dir}.WithIoctl(m.ioctl)

			got, err := h.Open(verity.Target{Name: "root", Device: path, HashOffset: offset, RootHash: tt.rootHash})
			if tt.wantErr == "" {
				if want := filepath.Join(dir, "dm-7"); got != want || err != nil {
					t.Errorf("Open() = %q, %v, want %q", got, err, want)
				}
			} else {
				prefix := fmt.Sprintf("cannot open OS image on %q with verity: ", path)
				if tt.wantErr != "MISMATCH" && text(err) != prefix+tt.wantErr || !strings.HasPrefix(text(err), prefix) {
					t.Errorf("Open() = %v, want %s%s", err, prefix, tt.wantErr)
				}
			}
			if errors.Is(err, verity.ErrMismatch) != tt.mismatch {
				t.Errorf("errors.Is(%v, ErrMismatch) = %v, want %v", err, !tt.mismatch, tt.mismatch)
			}
			for i, call := range m.calls {
				m.calls[i] = strings.ReplaceAll(call, path, "IMAGE")
			}
			if diff := cmp.Diff(tt.wantCalls, m.calls); diff != "" {
				t.Errorf("device mapper calls differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOpenSingleBlock is an image whose root hash is the hash of its only block.
func TestOpenSingleBlock(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "image")
	content := image(1)
	write(t, path, content)
	write(t, filepath.Join(dir, "mapper/control"), nil)
	salt, _ := hex.DecodeString(saltHex)
	sum := sha256.Sum256(append(salt, content[:block]...))
	m := &mapper{t: t, dev: dir, first: content[:block]}
	h := verity.Host{Sys: dir, Dev: dir}.WithIoctl(m.ioctl)
	if _, err := h.Open(verity.Target{Name: "root", Device: path, HashOffset: block, RootHash: hex.EncodeToString(sum[:])}); err != nil {
		t.Errorf("Open() = %v, want nil", err)
	}
}

func TestOpenWithoutDeviceMapper(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "image")
	write(t, path, image(300))
	_, err := verity.Host{Sys: dir, Dev: dir}.Open(verity.Target{Name: "root", Device: path, HashOffset: 300 * block, RootHash: rootHash})
	want := fmt.Sprintf("cannot open OS image on %q with verity: the kernel has no device mapper: open %s/class/misc/device-mapper/dev: no such file or directory", path, dir)
	if text(err) != want {
		t.Errorf("Open() = %v, want %s", err, want)
	}
}

func TestCloseAndCorrupted(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mapper/control"), nil)
	m := &mapper{t: t, dev: dir}
	h := verity.Host{Sys: dir, Dev: dir}.WithIoctl(m.ioctl)
	if bad, err := h.Corrupted("root"); !bad || err != nil {
		t.Errorf("Corrupted() = %v, %v, want true", bad, err)
	}
	if err := h.Close("root"); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
	m.fail = map[string]error{"remove": unix.EBUSY}
	if err := h.Close("root"); text(err) != `cannot close verity device "root": device mapper: remove root: device or resource busy` {
		t.Errorf("Close() of a device in use = %v", err)
	}
	if err := h.Close("a/b"); text(err) != `cannot close verity device "a/b": name "a/b" of the device: want 1 to 127 letters without slashes and spaces` {
		t.Errorf("Close() of an impossible name = %v", err)
	}
	if diff := cmp.Diff([]string{"status root", "remove root", "remove root"}, m.calls); diff != "" {
		t.Errorf("device mapper calls differ (-want +got):\n%s", diff)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
