package delta

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// maxGap is how much that is not needed is fetched along rather than asking
// once more.
const maxGap = 64 << 10

// fetchMissing fetches the frames of [from, to) that are not in place, with one
// request for each row of neighbours.
func (w *writer) fetchMissing(from, to int) error {
	for i := from; i < to; {
		if w.inPlace[i] {
			i++
			continue
		}
		end := w.endOfRun(i, to)
		if err := w.fetchRun(i, end, w.accept); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// endOfRun is where the row of frames ends that begins with i, gaps that are
// not worth a request included.
func (w *writer) endOfRun(i, to int) int {
	end, gap := i+1, int64(0)
	for j := end; j < to; j++ {
		if !w.inPlace[j] {
			end, gap = j+1, 0
			continue
		}
		if gap += w.index.Frames[j].Packed; gap > maxGap {
			break
		}
	}
	return end
}

// accept checks and writes a fetched frame.
func (w *writer) accept(i int, data []byte) error {
	if w.inPlace[i] {
		return nil // fetched along
	}
	f := w.index.Frames[i]
	if err := w.check(f, data); err != nil {
		return err
	}
	w.inPlace[i] = true
	return w.put(data, f.Offset)
}

// fetchRun fetches the frames of [from, to) with one request and hands each of
// them on, unpacked.
func (w *writer) fetchRun(from, to int, take func(i int, data []byte) error) error {
	offset, length := int64(0), int64(0)
	for i, f := range w.index.Frames[:to] {
		if i < from {
			offset += f.Packed
		} else {
			length += f.Packed
		}
	}
	if from == 0 && to == len(w.index.Frames) {
		length = -1 // any server can do that
	}
	u := &unpacker{writer: w, next: from, end: to, take: take}
	defer u.close()
	err := w.fetch(w.ctx, u, offset, length)
	w.fetched += u.seen
	if err != nil {
		return err
	}
	if u.next != to {
		return fmt.Errorf("it is damaged: it ends after %d of %d frames", u.next-from, to-from)
	}
	return nil
}

// unpacker cuts what comes into frames and unpacks them.
type unpacker struct {
	*writer
	next, end int
	take      func(i int, data []byte) error

	seen   int64
	packed []byte
	data   []byte
	plain  *zstd.Decoder
	with   *zstd.Decoder // the dictionary
}

func (u *unpacker) close() {
	for _, d := range []*zstd.Decoder{u.plain, u.with} {
		if d != nil {
			d.Close()
		}
	}
}

func (u *unpacker) Write(p []byte) (int, error) {
	n := len(p)
	u.seen += int64(n)
	for len(p) > 0 {
		if u.next == u.end {
			return n - len(p), fmt.Errorf("it is damaged: more comes than %d frames", u.end)
		}
		f := u.index.Frames[u.next]
		part := p[:min(int64(len(p)), f.Packed-int64(len(u.packed)))]
		u.packed, p = append(u.packed, part...), p[len(part):]
		if int64(len(u.packed)) < f.Packed {
			break
		}
		if err := u.frame(f); err != nil {
			return n - len(p), err
		}
		u.packed = u.packed[:0]
		u.next++
	}
	return n, nil
}

func (u *unpacker) frame(f Frame) error {
	data := u.packed
	if !u.index.Stored {
		d, err := u.decoder(u.next)
		if err != nil {
			return err
		}
		if data, err = d.DecodeAll(u.packed, u.data[:0]); err != nil {
			return fmt.Errorf("it is damaged: frame %d: %w", u.next, err)
		}
		u.data = data
	}
	if int64(len(data)) != f.Size {
		return fmt.Errorf("it is damaged: frame %d has %d bytes, want %d", u.next, len(data), f.Size)
	}
	return u.take(u.next, data)
}

func (u *unpacker) decoder(i int) (*zstd.Decoder, error) {
	at, options := &u.plain, []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame)}
	if i >= u.index.Plain {
		at = &u.with
	}
	if *at != nil {
		return *at, nil
	}
	if at == &u.with {
		dictionary, err := u.readDictionary()
		if err != nil {
			return nil, err
		}
		options = append(options, zstd.WithDecoderDictRaw(0, dictionary))
	}
	d, err := zstd.NewReader(nil, options...)
	*at = d
	return d, err
}

// readDictionary reads the dictionary, which is in place by now.
func (w *writer) readDictionary() ([]byte, error) {
	if w.dictionary != nil {
		return w.dictionary, nil
	}
	s := w.index.dictionary(w.target.HashOffset)
	data := make([]byte, s.Size)
	if _, err := w.dst.ReadAt(data, s.Offset); err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	if err := w.check(Frame{Offset: s.Offset, Size: s.Size}, data); err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	w.dictionary = data
	return data, nil
}
