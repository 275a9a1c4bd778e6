package blockdev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The layout is that of chapter 5 of the UEFI specification.
const (
	gptSignature  = "EFI PART"
	gptHeaderSize = 92
	gptEntrySize  = 128
)

// errNoGPT is a disk without a partition table of this kind.
var errNoGPT = errors.New("no GPT")

// gptHeader is one of the two headers of a GPT. Positions count sectors.
type gptHeader struct {
	raw         []byte // one sector, so that what is not known here is kept
	own, other  uint64
	firstUsable uint64
	lastUsable  uint64
	entriesAt   uint64
	entries     []byte // the whole array
	entrySize   int
}

// readGPT reads the header in sector lba and its entries, and checks both.
func readGPT(r io.ReaderAt, sectorSize int64, lba uint64) (*gptHeader, error) {
	h := &gptHeader{raw: make([]byte, sectorSize)}
	if _, err := r.ReadAt(h.raw, int64(lba)*sectorSize); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if string(h.raw[:8]) != gptSignature {
		return nil, errNoGPT
	}
	size := int(le.Uint32(h.raw[12:]))
	if size < gptHeaderSize || size > len(h.raw) {
		return nil, fmt.Errorf("GPT header in sector %d: odd size %d", lba, size)
	}
	if sum := headerSum(h.raw[:size]); sum != le.Uint32(h.raw[16:]) {
		return nil, fmt.Errorf("GPT header in sector %d: wrong checksum", lba)
	}
	h.own, h.other = le.Uint64(h.raw[24:]), le.Uint64(h.raw[32:])
	h.firstUsable, h.lastUsable = le.Uint64(h.raw[40:]), le.Uint64(h.raw[48:])
	h.entriesAt = le.Uint64(h.raw[72:])
	count, entrySize := le.Uint32(h.raw[80:]), le.Uint32(h.raw[84:])
	if h.own != lba || entrySize < gptEntrySize || entrySize > 4096 || count == 0 || count > 4096 {
		return nil, fmt.Errorf("GPT header in sector %d: %d entries of %d bytes, said to be in sector %d", lba, count, entrySize, h.own)
	}
	h.entrySize = int(entrySize)
	h.entries = make([]byte, count*entrySize)
	if _, err := r.ReadAt(h.entries, int64(h.entriesAt)*sectorSize); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(h.entries) != le.Uint32(h.raw[88:]) {
		return nil, fmt.Errorf("GPT entries in sector %d: wrong checksum", h.entriesAt)
	}
	return h, nil
}

// headerSum is the checksum of a header, whose own field counts as zero.
func headerSum(header []byte) uint32 {
	header = bytes.Clone(header)
	clear(header[16:20])
	return crc32.ChecksumIEEE(header)
}

// sector is the header as it is to be written.
func (h *gptHeader) sector() []byte {
	raw := bytes.Clone(h.raw)
	le := binary.LittleEndian
	le.PutUint64(raw[24:], h.own)
	le.PutUint64(raw[32:], h.other)
	le.PutUint64(raw[40:], h.firstUsable)
	le.PutUint64(raw[48:], h.lastUsable)
	le.PutUint64(raw[72:], h.entriesAt)
	le.PutUint32(raw[88:], crc32.ChecksumIEEE(h.entries))
	le.PutUint32(raw[16:], headerSum(raw[:le.Uint32(raw[12:])]))
	return raw
}

// entrySectors is how many sectors the array of entries takes up.
func (h *gptHeader) entrySectors(sectorSize int64) uint64 {
	return (uint64(len(h.entries)) + uint64(sectorSize) - 1) / uint64(sectorSize)
}

// gptEntry is one partition. A zero type is an unused entry.
type gptEntry []byte

func (h *gptHeader) entry(partition int) gptEntry {
	start := (partition - 1) * h.entrySize
	if partition < 1 || start+h.entrySize > len(h.entries) {
		return nil
	}
	return gptEntry(h.entries[start : start+h.entrySize])
}

func (e gptEntry) used() bool       { return e != nil && len(bytes.Trim(e[:16], "\x00")) > 0 }
func (e gptEntry) first() uint64    { return le64(e[32:]) }
func (e gptEntry) last() uint64     { return le64(e[40:]) }
func (e gptEntry) setLast(s uint64) { binary.LittleEndian.PutUint64(e[40:], s) }
func (e gptEntry) name() string     { return utf16z(e[56:gptEntrySize]) }
