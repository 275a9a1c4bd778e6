package delta

import (
	"crypto/sha256"

	"github.com/rosteros/ros/internal/verity"
)

// local are the blocks at hand: hash to the image and the place in it that
// should have it.
type local struct {
	images []Image
	blocks map[[sha256.Size]byte]place
}

type place struct {
	image int
	block int
}

// findLocal looks up in the trees of the old images where wanted blocks may
// be. An image without a tree, or with one that hashes otherwise, has none.
func (w *writer) findLocal(old []Image) local {
	l := local{old, map[[sha256.Size]byte]place{}}
	for i, image := range old {
		leaves, err := verity.ReadLeaves(image, image.HashOffset, "")
		if err != nil || !leaves.SameHashes(w.leaves) {
			continue
		}
		for block := range leaves.Len() {
			if hash := leaves.At(block); l.blocks[hash] == (place{}) {
				l.blocks[hash] = place{i, block + 1} // 0 is "none"
			}
		}
	}
	return l
}

// takeLocal puts a frame in place if all of its blocks are at hand: in the slot
// already, or in an old image.
func (w *writer) takeLocal(i int, l local) error {
	f := w.index.Frames[i]
	if w.inPlace[i] {
		return nil
	}
	data := make([]byte, f.Size)
	n, _ := w.dst.ReadAt(data, f.Offset) // what cannot be read may still be written
	changed := false
	for at := int64(0); at < f.Size; at += w.leaves.BlockSize {
		block := data[at : at+w.leaves.BlockSize]
		want := w.leaves.At(int((f.Offset + at) / w.leaves.BlockSize))
		if at+w.leaves.BlockSize <= int64(n) && w.leaves.Sum(block) == want {
			continue
		}
		if !l.read(block, want, w.leaves) {
			return nil
		}
		changed = true
	}
	w.inPlace[i] = true
	if changed {
		return w.put(data, f.Offset)
	}
	w.advance(f.Size)
	return nil
}

// read reads a block with the wanted hash into block. An image that cannot be
// read, or has something else there, is no more than an image without it.
func (l local) read(block []byte, want [sha256.Size]byte, leaves verity.Leaves) bool {
	p := l.blocks[want]
	if p == (place{}) {
		return false
	}
	if _, err := l.images[p.image].ReadAt(block, int64(p.block-1)*leaves.BlockSize); err != nil {
		return false
	}
	return leaves.Sum(block) == want
}
