// Package delta writes an OS image to a slot and fetches only those parts of
// it that are nowhere at hand.
//
// An image is EROFS followed by its verity tree, whose lowest level has the
// hash of every 4 KiB block. So the tree is fetched first and checked against
// the root hash; from then on every block, wherever it comes from, is checked
// by the tree before it is written. A block that an old image has is copied, one
// that the slot has already is left alone, and what is missing is fetched.
//
// On its way an image is packed: a row of zstd frames, each of which can be
// fetched and unpacked alone, and an index of them (index.go). Decision 13
// says why. Where the bytes come from is for the caller.
package delta

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rosteros/ros/internal/verity"
)

// ErrNoRanges is what a Fetch returns when only the whole file can be had.
var ErrNoRanges = errors.New("only the whole file can be had")

// Fetch writes length bytes of the packed image from offset on to w. With
// offset 0 and a negative length it writes all of it, which must always work.
type Fetch func(ctx context.Context, w io.Writer, offset, length int64) error

// Slot is where the image is written.
type Slot interface {
	io.WriterAt
	io.ReaderAt
}

// Image is an image at hand. Nothing in it is trusted.
type Image struct {
	io.ReaderAt
	HashOffset int64
}

// Target is the image to be written.
type Target struct {
	Size       int64
	HashOffset int64
	RootHash   string
}

// Write writes the image to dst and returns how many bytes of the packed image
// were fetched. An image that is not packed and can only be had as a whole is
// not written: the error is ErrNoRanges then. Every data block and the tree above them have been checked
// against the root hash when they were written; dst is not synced and not read
// back. progress, which may be nil, is told how much of the image is in place.
func Write(ctx context.Context, t Target, index Index, fetch Fetch, dst Slot, old []Image, progress func(done, total int64)) (fetched int64, err error) {
	if err := index.validate(t); err != nil {
		return 0, fmt.Errorf("the index of the packed image: %w", err)
	}
	w := &writer{ctx: ctx, target: t, index: index, fetch: fetch, dst: dst, progress: progress, inPlace: make([]bool, len(index.Frames))}
	err = w.write(old)
	return w.fetched, err
}

// writer is one Write.
type writer struct {
	ctx      context.Context
	target   Target
	index    Index
	fetch    Fetch
	dst      Slot
	progress func(done, total int64)

	leaves     verity.Leaves
	dictionary []byte
	inPlace    []bool // by frame
	done       int64  // bytes of the image in place
	fetched    int64
}

func (w *writer) write(old []Image) error {
	err := w.writeTree()
	if errors.Is(err, ErrNoRanges) && !w.index.Stored {
		return w.writeAll()
	}
	if err != nil {
		return err
	}
	local := w.findLocal(old)
	for i := range w.index.Frames {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.takeLocal(i, local); err != nil {
			return err
		}
	}
	// The dictionary first: what comes then cannot be unpacked without it.
	if err := w.fetchMissing(0, w.index.Plain); err != nil {
		return err
	}
	return w.fetchMissing(w.index.Plain, len(w.index.Frames))
}

// writeTree fetches the tree, checks it and writes it.
func (w *writer) writeTree() error {
	first, last := w.index.tree(w.target.HashOffset)
	tree := make([]byte, w.target.Size-w.target.HashOffset)
	err := w.fetchRun(first, last, func(i int, data []byte) error {
		copy(tree[w.index.Frames[i].Offset-w.target.HashOffset:], data)
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.readTree(tree); err != nil {
		return err
	}
	for i := first; i < last; i++ {
		w.inPlace[i] = true
	}
	return w.put(tree, w.target.HashOffset)
}

func (w *writer) readTree(tree []byte) (err error) {
	w.leaves, err = verity.ReadLeaves(shifted{tree, w.target.HashOffset}, w.target.HashOffset, w.target.RootHash)
	if err == nil && int64(w.leaves.Len())*w.leaves.BlockSize != w.target.HashOffset {
		err = errors.New("the hash tree of the image is not over all of it")
	}
	return err
}

// shifted reads bytes as if they stood further behind.
type shifted struct {
	data []byte
	by   int64
}

func (s shifted) ReadAt(p []byte, off int64) (int, error) {
	off -= s.by
	if off < 0 || off >= int64(len(s.data)) {
		return 0, io.EOF
	}
	n := copy(p, s.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// put writes what has been checked.
func (w *writer) put(data []byte, at int64) error {
	if _, err := w.dst.WriteAt(data, at); err != nil {
		return err
	}
	w.advance(int64(len(data)))
	return nil
}

func (w *writer) advance(n int64) {
	w.done += n
	if w.progress != nil {
		w.progress(w.done, w.target.Size)
	}
}

// check checks the blocks of a frame in front of the tree.
func (w *writer) check(f Frame, data []byte) error {
	for at := int64(0); at < f.Size; at += w.leaves.BlockSize {
		block := int((f.Offset + at) / w.leaves.BlockSize)
		if w.leaves.Sum(data[at:at+w.leaves.BlockSize]) != w.leaves.At(block) {
			return fmt.Errorf("it is damaged: block %d is not that of the image", block)
		}
	}
	return nil
}

// writeAll is for a place that gives out whole files only. The order of the
// frames is such that it can be done in one go: dictionary, tree, the rest.
func (w *writer) writeAll() error {
	first, last := w.index.tree(w.target.HashOffset)
	tree := make([]byte, w.target.Size-w.target.HashOffset)
	w.fetched = 0
	return w.fetchRun(0, len(w.index.Frames), func(i int, data []byte) error {
		f := w.index.Frames[i]
		switch {
		case i < first: // the dictionary: kept in memory until the tree is here
			w.dictionary = append(w.dictionary, data...)
			return nil
		case i < last:
			copy(tree[f.Offset-w.target.HashOffset:], data)
			if i < last-1 {
				return nil
			}
			return w.startWithTree(tree, first)
		}
		if err := w.check(f, data); err != nil {
			return err
		}
		return w.put(data, f.Offset)
	})
}

// startWithTree writes the tree, and the dictionary now that it can be checked.
func (w *writer) startWithTree(tree []byte, dictionary int) error {
	if err := w.readTree(tree); err != nil {
		return err
	}
	if err := w.put(tree, w.target.HashOffset); err != nil {
		return err
	}
	at := int64(0)
	for _, f := range w.index.Frames[:dictionary] {
		data := w.dictionary[at : at+f.Size]
		if err := w.check(f, data); err != nil {
			return err
		}
		if err := w.put(data, f.Offset); err != nil {
			return err
		}
		at += f.Size
	}
	return nil
}
