package bootnote

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// A copy begins with a head of one block; the text, JSON, follows in the next.
// The head keeps this form for ever, also when the version of what the text
// means changes:
//
//	 0  8  magic
//	 8  4  version of the text
//	12  4  length of the text
//	16  8  number of the write
//	24 32  SHA-256 of the bytes before it and the text
//
// Numbers are little-endian.
const (
	magic     = "ROSNOTE\n"
	version   = 1
	sumAt     = 24
	headSize  = sumAt + sha256.Size
	blockSize = 4096 // of the disks with the largest sectors: what is written is whole sectors
	copySize  = PartSize / 2
	maxText   = 128 << 10
)

// copies are where the two stand.
var copies = [2]int64{0, copySize}

// disk is what a note is written to.
type disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

var _ disk = (*os.File)(nil)

// found is a whole copy.
type found struct {
	version uint32
	number  uint64
	text    []byte
}

// errNoCopy is a place where no whole copy stands: never written, or torn.
var errNoCopy = errors.New("no whole copy")

func readCopy(d io.ReaderAt, at int64) (found, error) {
	head := make([]byte, headSize)
	if _, err := d.ReadAt(head, at); err != nil {
		return found{}, err
	}
	le := binary.LittleEndian
	length := le.Uint32(head[12:])
	if string(head[:8]) != magic || length > copySize-blockSize {
		return found{}, errNoCopy
	}
	c := found{version: le.Uint32(head[8:]), number: le.Uint64(head[16:]), text: make([]byte, length)}
	if _, err := d.ReadAt(c.text, at+blockSize); err != nil {
		return found{}, err
	}
	if sum := sumOf(head, c.text); !bytes.Equal(sum, head[sumAt:]) {
		return found{}, errNoCopy
	}
	return c, nil
}

func sumOf(head, text []byte) []byte {
	h := sha256.New()
	h.Write(head[:sumAt])
	h.Write(text)
	return h.Sum(nil)
}

// newest is the copy that counts, and which of the two it is; -1 when there is
// none. A copy that cannot be read is like a torn one as long as the other can.
func newest(d io.ReaderAt) (found, int, error) {
	var best found
	which := -1
	var faults []error
	for i, at := range copies {
		c, err := readCopy(d, at)
		if err != nil {
			if !errors.Is(err, errNoCopy) {
				faults = append(faults, err)
			}
			continue
		}
		if which < 0 || c.number > best.number {
			best, which = c, i
		}
	}
	if which < 0 {
		return best, which, errors.Join(faults...)
	}
	return best, which, nil
}

func get(d io.ReaderAt) (Note, error) {
	c, which, err := newest(d)
	switch {
	case err != nil:
		return Note{}, err
	case which < 0:
		return Note{}, ErrNone
	case c.version != version:
		return Note{}, fmt.Errorf("it has format %d, this program knows %d", c.version, version)
	}
	var n Note
	if err := json.Unmarshal(c.text, &n); err != nil {
		return Note{}, err
	}
	return n, nil
}

// put writes one copy. Head and text need no order among each other: the
// checksum is over both.
func put(d disk, n Note) error {
	text, err := encode(n)
	if err != nil {
		return err
	}
	// Where nothing can be read nothing is lost: a bad sector under one copy
	// may even be mended by the write.
	last, which, _ := newest(d)
	buf := make([]byte, blockSize+(len(text)+blockSize-1)/blockSize*blockSize)
	le := binary.LittleEndian
	copy(buf, magic)
	le.PutUint32(buf[8:], version)
	le.PutUint32(buf[12:], uint32(len(text)))
	le.PutUint64(buf[16:], last.number+1)
	copy(buf[blockSize:], text)
	copy(buf[sumAt:], sumOf(buf, text))
	if _, err := d.WriteAt(buf, copies[(which+1)%2]); err != nil {
		return err
	}
	return d.Sync()
}
