package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/rosteros/ros/internal/delta"
	"github.com/rosteros/ros/internal/release"
)

// dictionaryFile is the program whose stretch of the OS image is the dictionary
// of all other frames: Go programs are alike, containerd has a good part of what
// the others have, and it changes seldom.
const dictionaryFile = "/usr/lib/ros/containerd"

// Files of the packed OS image.
const (
	packedFile = "os.img.packed"
	indexFile  = "os.img.index.json"
)

func (f *forge) deltaTarget() (delta.Target, error) {
	boot, err := f.bootInfo()
	if err != nil {
		return delta.Target{}, err
	}
	info, err := os.Stat(f.osFile("os.img"))
	if err != nil {
		return delta.Target{}, err
	}
	return delta.Target{Size: info.Size(), HashOffset: boot.HashOffset, RootHash: boot.RootHash}, nil
}

// pack packs the OS image for the way. It takes minutes, so only a release
// does it.
func (f *forge) pack() error {
	boot, err := fileHash(f.osFile("boot.json"))
	if err != nil {
		return err
	}
	return f.once(f.dir, "packed OS image", hash(forgeFormat, boot, delta.FrameSize, dictionaryFile), f.packImage)
}

func (f *forge) packImage() error {
	target, err := f.deltaTarget()
	if err != nil {
		return err
	}
	dictionary, err := f.dictionary()
	if err != nil {
		return err
	}
	dir := f.osFile("frames")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	index := delta.Split(target, dictionary)
	if err := f.cutFrames(dir, index, dictionary); err != nil {
		return err
	}
	// Each batch reads the dictionary once. No checksums: the hash tree has better ones.
	script := `cd "$1" && for set in plain rest; do
		dictionary=; [ $set = plain ] || dictionary="-D dictionary"
		[ ! -d $set ] || find $set -type f | sort | xargs -r -P "$(nproc)" -n 24 zstd -q -19 --no-check --rm $dictionary
	done`
	if err := f.inRoot("sh", "-ec", script, "sh", dir); err != nil {
		return err
	}
	if err := joinFrames(dir, &index, f.osFile(packedFile)); err != nil {
		return err
	}
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.osFile(indexFile), text, 0o644); err != nil {
		return err
	}
	return errors.Join(f.checkPacked(target, index), os.RemoveAll(dir))
}

// cutFrames writes every frame into a file of its own.
func (f *forge) cutFrames(dir string, index delta.Index, dictionary delta.Span) error {
	image, err := os.Open(f.osFile("os.img"))
	if err != nil {
		return err
	}
	defer image.Close()
	for i, frame := range index.Frames {
		if err := cut(image, frame.Offset, frame.Size, frameFile(dir, index, i)); err != nil {
			return err
		}
	}
	return cut(image, dictionary.Offset, dictionary.Size, filepath.Join(dir, "dictionary"))
}

func frameFile(dir string, index delta.Index, i int) string {
	set := "rest"
	if i < index.Plain {
		set = "plain"
	}
	return filepath.Join(dir, set, fmt.Sprintf("%06d", i))
}

func cut(r io.ReaderAt, offset, size int64, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return writeFile(to, io.NewSectionReader(r, offset, size))
}

// joinFrames puts the compressed frames into one file and notes their sizes.
func joinFrames(dir string, index *delta.Index, to string) error {
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	for i := range index.Frames {
		r, err := os.Open(frameFile(dir, *index, i) + ".zst")
		if err != nil {
			return err
		}
		index.Frames[i].Packed, err = io.Copy(w, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return w.Close()
}

// checkPacked unpacks the image as a machine does and compares it.
func (f *forge) checkPacked(target delta.Target, index delta.Index) error {
	packed, err := os.Open(f.osFile(packedFile))
	if err != nil {
		return err
	}
	defer packed.Close()
	to, err := os.CreateTemp(f.dir, "unpacked-*")
	if err != nil {
		return err
	}
	defer os.Remove(to.Name())
	defer to.Close()
	fetch := func(_ context.Context, w io.Writer, offset, length int64) error {
		if length < 0 {
			length = 1 << 40
		}
		_, err := io.Copy(w, io.NewSectionReader(packed, offset, length))
		return err
	}
	if _, err := delta.Write(context.Background(), target, index, fetch, to, nil, nil); err != nil {
		return err
	}
	want, err := fileHash(f.osFile("os.img"))
	if err != nil {
		return err
	}
	if got, err := fileHash(to.Name()); err != nil || got != want {
		return errors.Join(errors.New("internal error: the packed OS image unpacks to another one"), err)
	}
	return nil
}

var extent = regexp.MustCompile(`(?m)^\s*\d+:\s+\d+\.\.\s*\d+ \|\s+\d+ :\s+(\d+)\.\.\s*(\d+) \|`)

// dictionary finds the stretch of the OS image that a file is in.
func (f *forge) dictionary() (delta.Span, error) {
	out, err := f.rootOutput("dump.erofs", "-e", "--path="+dictionaryFile, f.osFile("os.img"))
	if err != nil {
		return delta.Span{}, err
	}
	found := extent.FindAllSubmatch(out, -1)
	if len(found) == 0 {
		return delta.Span{}, fmt.Errorf("dump.erofs tells no extents of %s: %s", dictionaryFile, tail(string(out), 5))
	}
	begin, err := strconv.ParseInt(string(found[0][1]), 10, 64)
	if err != nil {
		return delta.Span{}, err
	}
	end, err := strconv.ParseInt(string(found[len(found)-1][2]), 10, 64)
	if err != nil {
		return delta.Span{}, err
	}
	begin, end = begin/4096*4096, (end+4095)/4096*4096
	if end-begin > maxDictionary || end <= begin {
		return delta.Span{}, fmt.Errorf("%s is not in one piece in the OS image: from %d to %d", dictionaryFile, begin, end)
	}
	return delta.Span{Offset: begin, Size: end - begin}, nil
}

// maxDictionary is how much memory a machine that upgrades has to spend on it.
const maxDictionary = 24 << 20

// packed is the packed OS image.
func (f *forge) packed() (*release.Packed, error) {
	text, err := os.ReadFile(f.osFile(indexFile))
	if err != nil {
		return nil, err
	}
	index, err := delta.ParseIndex(text)
	return &release.Packed{File: f.osFile(packedFile), Index: index}, err
}
