// Package verity opens an OS image such that the kernel checks every block of
// it, at the time it is read, against one root hash (dm-verity).
//
// The image is a file system followed by what "veritysetup format" writes: a
// superblock and the tree of hashes. The package reads the superblock, checks
// the top of the tree itself so that a wrong image is told from a broken one,
// and hands the rest to the device mapper. A block that is damaged later on is
// an I/O error for whoever reads it, never wrong data.
//
// Where the image lies and which root hash it must have is for the caller. The
// loop devices that an image in a file needs are made here too.
package verity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrMismatch is the error for an image that is not the one of the root hash.
var ErrMismatch = errors.New("the image does not have this root hash")

// Superblock is what veritysetup writes in front of the hashes.
type Superblock struct {
	HashType      uint32 // 1; 0 is that of Chrome OS
	UUID          string
	Algorithm     string
	DataBlockSize uint32 // bytes
	HashBlockSize uint32 // bytes
	DataBlocks    uint64
	Salt          []byte
}

// Target is an image to open. Its data begins at the first byte of Device.
type Target struct {
	Name       string // of the new device in the device mapper
	Device     string // block device
	HashOffset int64  // where on Device the superblock is, bytes
	RootHash   string // hexadecimal
}

// ReadSuperblock reads the superblock at hashOffset (cryptsetup's wiki,
// DMVerity: "Verity superblock format").
func ReadSuperblock(r io.ReaderAt, hashOffset int64) (Superblock, error) {
	sb, err := readSuperblock(r, hashOffset)
	if err != nil {
		return Superblock{}, fmt.Errorf("cannot read verity superblock at byte %d: %w", hashOffset, err)
	}
	return sb, nil
}

func readSuperblock(r io.ReaderAt, hashOffset int64) (Superblock, error) {
	raw := make([]byte, 512)
	if _, err := r.ReadAt(raw, hashOffset); err != nil {
		return Superblock{}, err
	}
	if string(raw[:8]) != "verity\x00\x00" {
		return Superblock{}, errors.New("there is none")
	}
	le := binary.LittleEndian
	if version := le.Uint32(raw[8:]); version != 1 {
		return Superblock{}, fmt.Errorf("version %d, want 1", version)
	}
	algorithm, _, _ := bytes.Cut(raw[32:64], []byte{0})
	id := raw[16:32]
	sb := Superblock{
		HashType:      le.Uint32(raw[12:]),
		UUID:          fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16]),
		Algorithm:     string(algorithm),
		DataBlockSize: le.Uint32(raw[64:]),
		HashBlockSize: le.Uint32(raw[68:]),
		DataBlocks:    le.Uint64(raw[72:]),
	}
	saltSize := int(le.Uint16(raw[80:]))
	if saltSize > 256 {
		return Superblock{}, fmt.Errorf("salt of %d bytes, want at most 256", saltSize)
	}
	sb.Salt = raw[88 : 88+saltSize]
	// Only what we write ourselves: a short list of what can go wrong.
	switch {
	case sb.HashType != 1:
		return Superblock{}, fmt.Errorf("hash type %d, want 1", sb.HashType)
	case sb.Algorithm != "sha256":
		return Superblock{}, fmt.Errorf("algorithm %q, want sha256", sb.Algorithm)
	case !blockSize(sb.DataBlockSize) || !blockSize(sb.HashBlockSize):
		return Superblock{}, fmt.Errorf("blocks of %d and %d bytes, want 512 to 65536", sb.DataBlockSize, sb.HashBlockSize)
	case sb.DataBlocks == 0 || sb.DataBlocks > 1<<40:
		return Superblock{}, fmt.Errorf("%d data blocks", sb.DataBlocks)
	case hashOffset%int64(sb.HashBlockSize) != 0:
		return Superblock{}, fmt.Errorf("not at a multiple of %d bytes", sb.HashBlockSize)
	case int64(sb.DataBlocks)*int64(sb.DataBlockSize) > hashOffset:
		return Superblock{}, fmt.Errorf("%d data blocks do not fit in front of it", sb.DataBlocks)
	}
	return sb, nil
}

func blockSize(n uint32) bool { return n >= 512 && n <= 65536 && n&(n-1) == 0 }

// checkRoot compares the top of the tree with the root hash. It takes one block
// to tell "this is another image" from "this image is damaged", which the
// kernel reports alike.
func checkRoot(r io.ReaderAt, sb Superblock, hashOffset int64, rootHash []byte) error {
	// The tree begins in the block behind the superblock, topmost level first.
	// Of a single data block the root hash is the hash.
	top := io.NewSectionReader(r, hashOffset+int64(sb.HashBlockSize), int64(sb.HashBlockSize))
	if sb.DataBlocks == 1 {
		top = io.NewSectionReader(r, 0, int64(sb.DataBlockSize))
	}
	hash := sha256.New()
	hash.Write(sb.Salt)
	if n, err := io.Copy(hash, top); err != nil {
		return err
	} else if n != top.Size() {
		return fmt.Errorf("read the top of the hash tree: %w", io.ErrUnexpectedEOF)
	}
	if got := hash.Sum(nil); !bytes.Equal(got, rootHash) {
		return fmt.Errorf("%w: it is %x, want %x", ErrMismatch, got, rootHash)
	}
	return nil
}

// Host is a machine: where its sysfs and its device files are.
type Host struct {
	Sys string
	Dev string
	// ioctl stands for the device mapper in tests.
	ioctl func(control *os.File, command uint, message []byte) error
}

// Local is the machine that this program runs on. The device mapper and its
// verity target must be loaded.
func Local() Host { return Host{Sys: "/sys", Dev: "/dev"} }

// Open makes the device that gives out the checked data of t and returns its
// path. Its first block has been read, so at least that is sound. On an error
// nothing stays behind. errors.Is(err, ErrMismatch) tells that t is not the
// image that the root hash is of.
func (h Host) Open(t Target) (path string, err error) {
	path, err = h.open(t)
	if err != nil {
		return "", fmt.Errorf("cannot open OS image on %q with verity: %w", t.Device, err)
	}
	return path, nil
}

func (h Host) open(t Target) (string, error) {
	rootHash, err := hex.DecodeString(t.RootHash)
	if err != nil || len(rootHash) != sha256.Size {
		return "", fmt.Errorf("root hash %q: want %d hexadecimal digits", t.RootHash, 2*sha256.Size)
	}
	device, err := os.Open(t.Device)
	if err != nil {
		return "", err
	}
	defer device.Close()
	sb, err := ReadSuperblock(device, t.HashOffset)
	if err != nil {
		return "", err
	}
	if err := checkRoot(device, sb, t.HashOffset, rootHash); err != nil {
		return "", err
	}

	control, err := h.control()
	if err != nil {
		return "", err
	}
	defer control.Close()
	minor, err := h.create(control, t.Name, "CRYPT-VERITY-"+strings.ReplaceAll(sb.UUID, "-", "")+"-"+t.Name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.Dev, "dm-"+strconv.Itoa(minor))
	if err := h.activate(control, t, sb, path); err != nil {
		return "", errors.Join(err, h.remove(control, t.Name))
	}
	return path, nil
}

// activate gives the new device its table and reads its first block.
func (h Host) activate(control *os.File, t Target, sb Superblock, path string) error {
	sectors := sb.DataBlocks * uint64(sb.DataBlockSize) / 512
	if err := h.load(control, t.Name, sectors, "verity", params(t, sb)); err != nil {
		return err
	}
	if err := h.resume(control, t.Name); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, sb.DataBlockSize), 0); err != nil {
		return fmt.Errorf("the image is damaged: %w", err)
	}
	return nil
}

// params is the line of the table: the kernel's
// Documentation/admin-guide/device-mapper/verity.rst, "Construction Parameters".
// Without optional ones a damaged block is an I/O error.
func params(t Target, sb Superblock) string {
	salt := "-"
	if len(sb.Salt) > 0 {
		salt = hex.EncodeToString(sb.Salt)
	}
	return fmt.Sprintf("%d %s %s %d %d %d %d %s %s %s",
		sb.HashType, t.Device, t.Device, sb.DataBlockSize, sb.HashBlockSize, sb.DataBlocks,
		t.HashOffset/int64(sb.HashBlockSize)+1, sb.Algorithm, strings.ToLower(t.RootHash), salt)
}

// Close removes the device called name, which nothing may use any more.
func (h Host) Close(name string) error {
	err := h.withControl(func(control *os.File) error { return h.remove(control, name) })
	if err != nil {
		return fmt.Errorf("cannot close verity device %q: %w", name, err)
	}
	return nil
}

// Corrupted tells whether the kernel has met a damaged block on the device
// called name since it was opened. It explains an I/O error.
func (h Host) Corrupted(name string) (bool, error) {
	var status string
	err := h.withControl(func(control *os.File) (err error) {
		status, err = h.status(control, name)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot read the state of verity device %q: %w", name, err)
	}
	return strings.HasPrefix(status, "C"), nil // "V" or "C"
}
