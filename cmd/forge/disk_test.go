package main

import (
	"bytes"
	"strings"
	"testing"
)

// The content ID of a VMDK is a number without leading zeros: however many
// digits chance gave it, the same bytes come out.
func TestContentIDOfAnyLength(t *testing.T) {
	const place = 256
	head := func(id string) []byte {
		text := "# Disk DescriptorFile\nversion=1\nCID=" + id + "\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n"
		return []byte("KDMV" + text + strings.Repeat("\x00", place-len(text)))
	}
	want := head("524f5354")
	for _, id := range []string{"28f14829", "28f1482", "28f148", "0", "524f5354"} {
		got := head(id)
		at, text, err := withCID(got, "524f5354")
		if err != nil {
			t.Fatalf("CID=%s: %v", id, err)
		}
		copy(got[at:], text)
		if !bytes.Equal(got, want) {
			t.Errorf("CID=%s becomes %q", id, got)
		}
	}
	got := head("28f1482900")
	at, text, err := withCID(got, "1")
	if err != nil {
		t.Fatal(err)
	}
	copy(got[at:], text)
	if !bytes.Equal(got, head("1")) {
		t.Errorf("a shorter one becomes %q", got)
	}
}

func TestNoPlaceForAContentID(t *testing.T) {
	for name, head := range map[string]string{
		"nothing":       "KDMV\x00\x00",
		"no ID":         "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\n\x00\x00",
		"no end":        "# Disk DescriptorFile\nCID=1\n",
		"no room":       "# Disk DescriptorFile\nCID=1\nversion=1\n\x00\x00data",
		"cut in the ID": "# Disk DescriptorFile\nCID=1\x00\x00\x00",
	} {
		if _, text, err := withCID([]byte(head), "524f5354"); err == nil {
			t.Errorf("%s: becomes %q", name, text)
		}
	}
}
