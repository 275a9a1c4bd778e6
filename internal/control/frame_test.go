package control_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	w := &control.FrameWriter{W: &b}
	long := strings.Repeat("x", 3<<20)
	if _, err := io.WriteString(w.Stream(control.Output), long); err != nil {
		t.Fatal(err)
	}
	if err := w.Value(control.End, control.Ending{Code: 3}); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for {
		kind, data, err := control.ReadFrame(&b)
		if err != nil {
			t.Fatal(err)
		}
		if kind == control.End {
			if string(data) != `{"code":3}` {
				t.Errorf("the end is %s", data)
			}
			break
		}
		got.Write(data)
	}
	if got.String() != long {
		t.Errorf("%d bytes came back of %d", got.Len(), len(long))
	}
	if _, _, err := control.ReadFrame(&b); !errors.Is(err, io.EOF) {
		t.Errorf("ReadFrame at the end = %v, want EOF", err)
	}
	if _, _, err := control.ReadFrame(strings.NewReader("\x01\x00\x00\x00\x09cut")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ReadFrame of half a frame = %v", err)
	}
	if _, _, err := control.ReadFrame(strings.NewReader("\x01\xff\xff\xff\xff")); err == nil || err.Error() != "a frame of 4294967295 bytes is too long" {
		t.Errorf("ReadFrame of rubbish = %v", err)
	}
}
