package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Format is the number of the form of Index.
const Format = 1

// Index says how a packed image is divided into frames. Their order is that in
// the packed image: first those of the dictionary, then those of the tree, then
// the rest in the order of the image.
type Index struct {
	Format int `json:"format"`
	// Stored: the frames are not compressed but as in the image.
	Stored bool `json:"stored,omitempty"`
	// Plain is how many frames at the beginning are compressed by themselves. All
	// others have a zstd dictionary: the part of the image that the frames before
	// the tree's are, raw.
	Plain  int     `json:"plain"`
	Frames []Frame `json:"frames"`
}

// Frame is one stretch of the image.
type Frame struct {
	Offset int64 `json:"offset"` // in the image, bytes
	Size   int64 `json:"size"`
	Packed int64 `json:"packed"` // its size in the packed image
}

const (
	blockSize = 4096
	// FrameSize is how much of an image goes into one frame: small enough that one
	// changed file does not fetch much else, large enough to compress well.
	FrameSize = 512 << 10
	// storedSize is that of an image that is not packed: nothing is lost by small
	// ones but the size of a request.
	storedSize = 64 << 10

	maxFrame      = 16 << 20
	maxFrames     = 1 << 17
	maxDictionary = 64 << 20
)

// Span is a stretch of an image.
type Span struct{ Offset, Size int64 }

// Split divides an image into frames, their packed sizes still unknown. The
// dictionary may be empty.
func Split(t Target, dictionary Span) Index {
	index := Index{Format: Format}
	index.add(FrameSize, dictionary.Offset, dictionary.Offset+dictionary.Size)
	index.add(FrameSize, t.HashOffset, t.Size)
	index.Plain = len(index.Frames)
	index.add(FrameSize, 0, dictionary.Offset)
	index.add(FrameSize, dictionary.Offset+dictionary.Size, t.HashOffset)
	if dictionary.Size == 0 {
		index.Plain = len(index.Frames)
	}
	return index
}

func (x *Index) add(size, from, to int64) {
	for at := from; at < to; at += size {
		x.Frames = append(x.Frames, Frame{Offset: at, Size: min(size, to-at)})
	}
}

// Stored is the index of an image that is not packed.
func Stored(t Target) Index {
	index := Index{Format: Format, Stored: true}
	index.add(storedSize, 0, t.HashOffset)
	index.add(storedSize, t.HashOffset, t.Size)
	for i := range index.Frames {
		index.Frames[i].Packed = index.Frames[i].Size
	}
	index.Plain = len(index.Frames)
	return index
}

// ParseIndex reads an index. Whether it fits an image is seen in Write.
func ParseIndex(text []byte) (Index, error) {
	var index Index
	if err := json.Unmarshal(text, &index); err != nil {
		return Index{}, fmt.Errorf("cannot read the index of the packed image: %w", err)
	}
	if index.Format != Format {
		return Index{}, fmt.Errorf("cannot read the index of the packed image: it has format %d, want %d", index.Format, Format)
	}
	return index, nil
}

// validate checks that the frames make up the image, each byte once.
func (x Index) validate(t Target) error {
	switch {
	case t.HashOffset <= 0 || t.HashOffset >= t.Size || t.HashOffset%blockSize != 0 || t.Size%blockSize != 0:
		return fmt.Errorf("an image of %d bytes with its tree at %d", t.Size, t.HashOffset)
	case len(x.Frames) == 0 || len(x.Frames) > maxFrames:
		return fmt.Errorf("%d frames", len(x.Frames))
	case x.Plain < 0 || x.Plain > len(x.Frames) || x.Stored && x.Plain != len(x.Frames):
		return fmt.Errorf("%d plain ones of %d frames", x.Plain, len(x.Frames))
	}
	for _, f := range x.Frames {
		if f.Offset < 0 || f.Offset%blockSize != 0 || f.Size <= 0 || f.Size%blockSize != 0 || f.Size > maxFrame || f.Packed <= 0 || f.Packed > maxFrame+blockSize ||
			x.Stored && f.Packed != f.Size {
			return fmt.Errorf("a frame %+v", f)
		}
	}
	sorted := slices.SortedFunc(slices.Values(x.Frames), func(a, b Frame) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	at := int64(0)
	for _, f := range sorted {
		if f.Offset != at || at < t.HashOffset && at+f.Size > t.HashOffset {
			return fmt.Errorf("a frame at %d, want one at %d", f.Offset, at)
		}
		at += f.Size
	}
	if at != t.Size {
		return fmt.Errorf("frames for %d bytes of %d", at, t.Size)
	}
	return x.validateOrder(t)
}

// validateOrder checks that an image that is not packed is as it is, and that
// of a packed one dictionary and tree come first, each in one piece.
func (x Index) validateOrder(t Target) error {
	if x.Stored {
		if !consecutive(x.Frames) {
			return errors.New("frames that are not in the order of the image")
		}
		return nil
	}
	first, last := x.tree(t.HashOffset)
	dictionary := x.Frames[:first]
	switch {
	case !consecutive(x.Frames[first:last]) || x.Frames[last-1].Offset+x.Frames[last-1].Size != t.Size:
		return errors.New("the frames of the tree are apart")
	case !consecutive(dictionary):
		return errors.New("the frames of the dictionary are apart")
	case first == 0 && x.Plain != len(x.Frames) || first > 0 && x.Plain != last:
		return fmt.Errorf("%d plain ones of %d frames, %d of them behind the dictionary", x.Plain, len(x.Frames), len(x.Frames)-last)
	}
	size := int64(0)
	for _, f := range dictionary {
		size += f.Size
	}
	if size > maxDictionary {
		return fmt.Errorf("a dictionary of %d bytes", size)
	}
	return nil
}

func consecutive(frames []Frame) bool {
	for i := 1; i < len(frames); i++ {
		if frames[i].Offset != frames[i-1].Offset+frames[i-1].Size {
			return false
		}
	}
	return true
}

// tree are the frames of the tree: from first up to, not with, last.
func (x Index) tree(hashOffset int64) (first, last int) {
	first = slices.IndexFunc(x.Frames, func(f Frame) bool { return f.Offset >= hashOffset })
	if first < 0 {
		return 0, 0
	}
	last = first
	for last < len(x.Frames) && x.Frames[last].Offset >= hashOffset {
		last++
	}
	return first, last
}

// dictionary is the stretch of the image that is one; empty: there is none.
func (x Index) dictionary(hashOffset int64) Span {
	first, _ := x.tree(hashOffset)
	if x.Plain == len(x.Frames) || first == 0 {
		return Span{}
	}
	f := x.Frames[first-1]
	return Span{x.Frames[0].Offset, f.Offset + f.Size - x.Frames[0].Offset}
}
