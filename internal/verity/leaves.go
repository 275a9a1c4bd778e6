package verity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Leaves are the hashes of all data blocks of an image: the lowest level of
// its tree.
type Leaves struct {
	BlockSize int64
	salt      []byte
	hashes    []byte
}

// maxLeaves bounds the memory that a tree may take: an image of 4 GiB.
const maxLeaves = 1 << 20

// ReadLeaves reads the tree at hashOffset and, unless rootHash is "", checks
// all of it against that. The data themselves are not read; r needs to give out
// nothing in front of hashOffset.
func ReadLeaves(r io.ReaderAt, hashOffset int64, rootHash string) (Leaves, error) {
	l, err := readLeaves(r, hashOffset, rootHash)
	if err != nil {
		return Leaves{}, fmt.Errorf("cannot read the hash tree of the image: %w", err)
	}
	return l, nil
}

func readLeaves(r io.ReaderAt, hashOffset int64, rootHash string) (Leaves, error) {
	sb, err := ReadSuperblock(r, hashOffset)
	if err != nil {
		return Leaves{}, err
	}
	if sb.DataBlocks < 2 || sb.DataBlocks > maxLeaves {
		return Leaves{}, fmt.Errorf("%d data blocks, want 2 to %d", sb.DataBlocks, maxLeaves)
	}
	l := Leaves{BlockSize: int64(sb.DataBlockSize), salt: sb.Salt}
	above, err := hex.DecodeString(rootHash)
	if err != nil {
		return Leaves{}, fmt.Errorf("root hash %q: %w", rootHash, err)
	}
	// The levels stand one behind the other, topmost first; each block of one is
	// hashed into the one above.
	size := int64(sb.HashBlockSize)
	at := hashOffset + size
	levels := levels(int64(sb.DataBlocks), size/sha256.Size)
	for i := len(levels) - 1; i >= 0; i-- {
		level := make([]byte, levels[i]*size)
		if _, err := r.ReadAt(level, at); err != nil && !errors.Is(err, io.EOF) {
			return Leaves{}, err
		}
		if rootHash != "" && !l.hashedInto(above, level, size) {
			return Leaves{}, fmt.Errorf("%w, or its hash tree is damaged", ErrMismatch)
		}
		above, at = level, at+int64(len(level))
	}
	l.hashes = above[:int64(sb.DataBlocks)*sha256.Size]
	return l, nil
}

// levels are how many blocks each level of a tree has, lowest first.
func levels(dataBlocks, perBlock int64) []int64 {
	var all []int64
	for n := dataBlocks; ; {
		n = (n + perBlock - 1) / perBlock
		all = append(all, n)
		if n == 1 {
			return all
		}
	}
}

func (l Leaves) hashedInto(above, level []byte, size int64) bool {
	for i := int64(0); i*size < int64(len(level)); i++ {
		sum := l.Sum(level[i*size : (i+1)*size])
		if (i+1)*sha256.Size > int64(len(above)) || !bytes.Equal(above[i*sha256.Size:(i+1)*sha256.Size], sum[:]) {
			return false
		}
	}
	return true
}

// Len is the number of data blocks.
func (l Leaves) Len() int { return len(l.hashes) / sha256.Size }

// At is the hash that block i must have.
func (l Leaves) At(i int) [sha256.Size]byte { return [sha256.Size]byte(l.hashes[i*sha256.Size:]) }

// Sum is the hash of a block as this tree has it.
func (l Leaves) Sum(block []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(l.salt)
	h.Write(block)
	return [sha256.Size]byte(h.Sum(nil))
}

// SameHashes says whether a block has the same hash in both trees.
func (l Leaves) SameHashes(other Leaves) bool {
	return l.BlockSize == other.BlockSize && bytes.Equal(l.salt, other.salt)
}
