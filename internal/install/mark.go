package install

import (
	"bytes"
	"context"
	"io"

	"github.com/rosteros/ros/internal/bootloader"
)

// markFile is on the EFI system partition of a disk that an order has installed.
const markFile = "roster/order"

// Mark is the Mark of the Job that has made the disk, "" if there was none.
func (m Machine) Mark(ctx context.Context, t Target, run Runner) string {
	text, err := m.onESP(ctx, t, run, markFile)
	if err != nil {
		return ""
	}
	return string(text)
}

// Args are the operator's kernel arguments on a disk of Roster. An error means
// that nobody knows them any more.
func (m Machine) Args(ctx context.Context, t Target, run Runner) (string, error) {
	return bootloader.GRUB{Files: unmounted{open: func(name string) ([]byte, error) { return m.onESP(ctx, t, run, name) }}}.Args()
}

// onESP reads a file of the EFI system partition without mounting it.
func (m Machine) onESP(ctx context.Context, t Target, run Runner, name string) ([]byte, error) {
	l, err := m.layout(t)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = run(ctx, nil, &text, "mcopy", "-i", fatImage(t.Path, l.Part(ESP)), "::/"+name, "-")
	return text.Bytes(), err
}

// unmounted are files that can be opened and nothing else.
type unmounted struct {
	bootloader.Files
	open func(name string) ([]byte, error)
}

func (u unmounted) Open(name string) (io.ReadCloser, error) {
	text, err := u.open(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}
