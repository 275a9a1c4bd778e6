package delta_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rosteros/ros/internal/delta"
	"github.com/rosteros/ros/internal/release/releasetest"
)

const block = releasetest.Block

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// server gives out a packed image.
type server struct {
	packed   []byte
	noRanges bool
	requests int
}

func (s *server) fetch(_ context.Context, w io.Writer, offset, length int64) error {
	s.requests++
	if length < 0 {
		length = int64(len(s.packed)) - offset
	} else if s.noRanges {
		return delta.ErrNoRanges
	}
	// In pieces that respect nothing.
	for p := s.packed[offset:min(offset+length, int64(len(s.packed)))]; len(p) > 0; {
		n := min(len(p), 10_007)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func slot(t *testing.T, content []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "slot"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func holds(t *testing.T, f *os.File, image []byte) {
	t.Helper()
	got := make([]byte, len(image))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, image) {
		t.Errorf("the slot does not hold the image (%v)", err)
	}
}

func TestWrite(t *testing.T) {
	data := releasetest.Content(1, 1500)
	image, target := releasetest.Seal(data)
	dictionary := delta.Span{Offset: 256 * block, Size: 300 * block}

	// The same content elsewhere, and 20 blocks of another one.
	moved := append(bytes.Clone(data[700*block:]), data[:700*block]...)
	copy(moved[100*block:], releasetest.Content(2, 20))
	older, olderTarget := releasetest.Seal(moved)
	same := delta.Image{ReaderAt: bytes.NewReader(older), HashOffset: olderTarget.HashOffset}

	// An image whose tree promises what its blocks do not have.
	lying := bytes.Clone(image)
	clear(lying[:target.HashOffset])
	liar := delta.Image{ReaderAt: bytes.NewReader(lying), HashOffset: target.HashOffset}

	for _, tt := range []struct {
		name       string
		dictionary delta.Span
		slot       []byte
		old        []delta.Image
		noRanges   bool
		atMost     float64 // of the packed image
	}{
		{name: "everything is new", dictionary: dictionary, atMost: 1},
		{name: "without a dictionary", atMost: 1},
		{name: "most is in an old image", dictionary: dictionary, old: []delta.Image{same}, atMost: 0.4},
		{name: "an old image that lies", dictionary: dictionary, old: []delta.Image{liar, {ReaderAt: bytes.NewReader(nil), HashOffset: block}}, atMost: 1},
		{name: "it is in the slot already", dictionary: dictionary, slot: image, atMost: 0.05},
		{name: "the beginning is in the slot already", dictionary: dictionary, slot: image[:1024*block], atMost: 0.5},
		{name: "whole files only", dictionary: dictionary, noRanges: true, old: []delta.Image{same}, atMost: 1},
		{name: "whole files only, without a dictionary", noRanges: true, atMost: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			packed, index := releasetest.Pack(t, image, target, tt.dictionary)
			s := &server{packed: packed, noRanges: tt.noRanges}
			to := slot(t, tt.slot)
			var done, total int64
			n, err := delta.Write(context.Background(), target, index, s.fetch, to, tt.old, func(d, of int64) {
				if d < done {
					t.Errorf("progress went from %d back to %d", done, d)
				}
				done, total = d, of
			})
			if err != nil {
				t.Fatal(err)
			}
			holds(t, to, image)
			if share := float64(n) / float64(len(packed)); share > tt.atMost {
				t.Errorf("Write() fetched %.2f of the image with %d requests, want at most %.2f", share, s.requests, tt.atMost)
			}
			if done != total || total != target.Size {
				t.Errorf("progress ended at %d of %d, want %d", done, total, target.Size)
			}
		})
	}
}

func TestWriteStored(t *testing.T) {
	image, target := releasetest.Seal(releasetest.Content(1, 600))
	old := bytes.Clone(image)
	copy(old[300*block:], releasetest.Content(3, 2))
	s := &server{packed: image}
	to := slot(t, nil)
	n, err := delta.Write(context.Background(), target, delta.Stored(target), s.fetch, to,
		[]delta.Image{{ReaderAt: bytes.NewReader(old), HashOffset: target.HashOffset}}, nil)
	if err != nil || n > 30*block {
		t.Errorf("Write() = %d, %v, want little and nil", n, err)
	}
	holds(t, to, image)
	s.noRanges = true
	if _, err := delta.Write(context.Background(), target, delta.Stored(target), s.fetch, to, nil, nil); !errors.Is(err, delta.ErrNoRanges) {
		t.Errorf("Write() from a server without ranges = %v, want %v", err, delta.ErrNoRanges)
	}
}

// TestWriteDamaged flips a byte of each frame in turn: whatever it hits, the
// image is not taken for whole.
func TestWriteDamaged(t *testing.T) {
	image, target := releasetest.Seal(releasetest.Content(1, 700))
	dictionary := delta.Span{Offset: 0, Size: 256 * block}
	packed, index := releasetest.Pack(t, image, target, dictionary)
	for _, noRanges := range []bool{false, true} {
		at := int64(0)
		for i, f := range index.Frames {
			bad := bytes.Clone(packed)
			bad[at+f.Packed/2] ^= 1
			at += f.Packed
			s := &server{packed: bad, noRanges: noRanges}
			if _, err := delta.Write(context.Background(), target, index, s.fetch, slot(t, nil), nil, nil); err == nil {
				t.Errorf("Write() with a wrong byte in frame %d (no ranges: %v) = nil, want an error", i, noRanges)
			}
		}
		s := &server{packed: packed[:len(packed)-10], noRanges: noRanges}
		if _, err := delta.Write(context.Background(), target, index, s.fetch, slot(t, nil), nil, nil); err == nil {
			t.Error("Write() of a truncated image = nil, want an error")
		}
	}
}

func TestWriteRefusesIndex(t *testing.T) {
	_, target := releasetest.Seal(releasetest.Content(1, 350))
	dictionary := delta.Span{Offset: 0, Size: 128 * block}
	good := func() delta.Index {
		index := delta.Split(target, dictionary)
		for i := range index.Frames {
			index.Frames[i].Packed = 100
		}
		return index
	}
	for _, tt := range []struct {
		name   string
		change func(*delta.Index)
		want   string
	}{
		{"empty", func(x *delta.Index) { x.Frames = nil }, "0 frames"},
		{"too many plain ones", func(x *delta.Index) { x.Plain = 99 }, "99 plain ones of 4 frames"},
		{"a hole", func(x *delta.Index) { x.Frames[2].Offset += block }, "a frame at 528384, want one at 524288"},
		{"an end too early", func(x *delta.Index) { x.Frames[1].Size -= block }, "frames for 1449984 bytes of 1454080"},
		{"a frame of odd size", func(x *delta.Index) { x.Frames[0].Size = 5 }, "a frame {Offset:0 Size:5 Packed:100}"},
		{"a frame of no size", func(x *delta.Index) { x.Frames[3].Packed = 0 }, "a frame {Offset:1048576 Size:385024 Packed:0}"},
		{"stored, but of other sizes", func(x *delta.Index) { x.Stored, x.Plain = true, 4 }, "a frame {Offset:0 Size:524288 Packed:100}"},
		{"a dictionary behind the tree", func(x *delta.Index) { x.Plain = 4 }, "4 plain ones of 4 frames, 2 of them behind the dictionary"},
		{"out of order", func(x *delta.Index) { x.Frames[0], x.Frames[1] = x.Frames[1], x.Frames[0] }, "2 plain ones of 4 frames, 3 of them behind the dictionary"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			index := good()
			tt.change(&index)
			_, err := delta.Write(context.Background(), target, index, (&server{}).fetch, slot(t, nil), nil, nil)
			if want := "the index of the packed image: " + tt.want; text(err) != want {
				t.Errorf("Write() = %v, want %s", err, want)
			}
		})
	}
}

func FuzzIndex(f *testing.F) {
	image, target := releasetest.Seal(releasetest.Content(1, 20))
	f.Add([]byte(`{"format":1,"plain":2,"frames":[{"offset":0,"size":81920,"packed":81920},{"offset":81920,"size":8192,"packed":8192}],"stored":true}`))
	f.Add([]byte(`{"format":1,"plain":1,"frames":[{"offset":81920,"size":8192,"packed":10},{"offset":0,"size":81920,"packed":10}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := delta.ParseIndex(data)
		if err != nil {
			return
		}
		s := &server{packed: image}
		to := slot(t, nil)
		if _, err := delta.Write(context.Background(), target, index, func(ctx context.Context, w io.Writer, offset, length int64) error {
			if offset > int64(len(image)) {
				return io.ErrUnexpectedEOF
			}
			return s.fetch(ctx, w, offset, length)
		}, to, nil, nil); err == nil {
			holds(t, to, image)
		}
	})
}
