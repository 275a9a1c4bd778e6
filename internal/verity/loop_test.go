package verity_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rosteros/ros/internal/verity"
)

func TestLoop(t *testing.T) {
	if f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs root and loop devices: ", err)
	} else {
		f.Close()
	}
	path := filepath.Join(t.TempDir(), "image")
	content := image(3)
	write(t, path, content)
	device, err := verity.Loop(path, block, 2*block, true)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(device)
	if err != nil {
		t.Error(err)
	} else {
		got, err := io.ReadAll(f)
		f.Close()
		if err != nil || !bytes.Equal(got, content[block:3*block]) {
			t.Errorf("the loop device gives out %d bytes, %v, want blocks 1 and 2", len(got), err)
		}
	}
	if err := verity.Unloop(device); err != nil {
		t.Errorf("Unloop() = %v, want nil", err)
	}
	if err := verity.Unloop("/dev/null"); text(err) != `cannot release loop device "/dev/null": inappropriate ioctl for device` {
		t.Errorf("Unloop(/dev/null) = %v, want it to be no loop device", err)
	}
}

func TestLoopOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	_, err := verity.Loop(path, 0, 0, true)
	want := `cannot make a loop device of "` + path + `": open ` + path + `: no such file or directory`
	if text(err) != want {
		t.Errorf("Loop() = %v, want %s", err, want)
	}
}
