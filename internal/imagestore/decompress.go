package imagestore

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Unpacked is what r holds, whether it is packed with gzip, xz or zstd or not
// at all; its first bytes tell. done must be called at the end.
func Unpacked(r io.Reader) (plain io.Reader, done func(), err error) {
	buffered := bufio.NewReaderSize(r, 256<<10)
	head, err := buffered.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	done = func() {}
	switch {
	case len(head) == 0:
		return nil, nil, errors.New("it is empty")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		plain, err = gzip.NewReader(buffered)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		plain, err = xz.NewReader(buffered)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		var d *zstd.Decoder
		// One after the other: rosd has little memory and the disk is slower.
		d, err = zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
		if err == nil {
			plain, done = d, d.Close
		}
	default:
		plain = buffered
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot unpack: %w", err)
	}
	return plain, done, nil
}
