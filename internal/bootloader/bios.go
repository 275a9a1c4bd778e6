package bootloader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What grub-bios-setup writes into GRUB's images: offsets of include/grub/i386/pc/boot.h
// and of grub-core/boot/i386/pc/diskboot.S in GRUB's source.
const (
	biosSector    = 512
	kernelSector  = 0x5c  // of boot.img: the first sector of core.img, 64 bits
	driveCheck    = 0x66  // of boot.img: a jump over a check
	bootCodeEnd   = 0x1b8 // disk signature and partition table follow
	blocklist     = biosSector - 12
	blocklistLen  = blocklist + 8
	blocklistSeg  = blocklist + 10
	coreSegment   = 0x820 // where diskboot.img loads what follows itself
	jumpShort     = 0xeb
	bootSignature = 0xaa55
)

// WriteBIOS makes a disk start under BIOS: boot.img into its first sector,
// beside the protective partition table there, and core.img into the BIOS boot
// partition, which begins at start and is size bytes long.
func WriteBIOS(disk interface {
	io.ReaderAt
	io.WriterAt
}, boot, core []byte, start, size int64) error {
	if err := writeBIOS(disk, boot, core, start, size); err != nil {
		return fmt.Errorf("cannot make the disk start under BIOS: %w", err)
	}
	return nil
}

func writeBIOS(disk interface {
	io.ReaderAt
	io.WriterAt
}, boot, core []byte, start, size int64) error {
	if err := checkBIOS(boot, core, start, size); err != nil {
		return err
	}
	first := make([]byte, biosSector)
	if _, err := disk.ReadAt(first, 0); err != nil {
		return err
	}
	boot = bytes.Clone(boot)
	copy(boot[bootCodeEnd:], first[bootCodeEnd:])
	binary.LittleEndian.PutUint64(boot[kernelSector:], uint64(start/biosSector))
	// On a hard disk the check runs: some BIOSes do not say which drive they
	// boot from.
	boot[driveCheck], boot[driveCheck+1] = 0x90, 0x90
	binary.LittleEndian.PutUint16(boot[biosSector-2:], bootSignature)

	core = append(bytes.Clone(core), make([]byte, -len(core)&(biosSector-1))...)
	binary.LittleEndian.PutUint64(core[blocklist:], uint64(start/biosSector)+1)
	binary.LittleEndian.PutUint16(core[blocklistLen:], uint16(len(core)/biosSector-1))
	binary.LittleEndian.PutUint16(core[blocklistSeg:], coreSegment)

	// What the first sector points to is there before it does.
	if _, err := disk.WriteAt(core, start); err != nil {
		return err
	}
	_, err := disk.WriteAt(boot, 0)
	return err
}

func checkBIOS(boot, core []byte, start, size int64) error {
	switch {
	case len(boot) != biosSector || boot[driveCheck] != jumpShort:
		return errors.New("boot.img is not GRUB's")
	case len(core) <= biosSector || binary.LittleEndian.Uint16(core[blocklistSeg:]) != coreSegment:
		return errors.New("core.img is not GRUB's")
	case start <= 0 || start%biosSector != 0:
		return fmt.Errorf("the BIOS boot partition cannot begin at byte %d", start)
	case int64(len(core)) > size || len(core) > 0xffff*biosSector:
		return fmt.Errorf("core.img has %d bytes and the BIOS boot partition %d", len(core), size)
	}
	return nil
}
