package blockdev_test

import (
	"path/filepath"
	"strconv"
	"testing"
)

// TestPartUUID: the kernel tells no PARTUUID, so it comes from the table, where
// the first three fields are little endian.
func TestPartUUID(t *testing.T) {
	b := newBench(t)
	b.disk("sda", 1<<20, gptDisk(1<<20, 1<<20, 512, part{"ROOT_A", 64, 127}, part{"ROOT_B", 128, 191}).data)
	for number, label := range []string{"", "ROOT_A", "ROOT_B"} {
		if label != "" {
			name := "sda" + strconv.Itoa(number)
			b.add("devices/pci/sda/"+name, name, 32<<10, "PARTNAME="+label+"\n", nil)
			b.write(filepath.Join(b.Sys, "devices/pci/sda", name, "partition"), strconv.Itoa(number)+"\n")
		}
	}
	const a, second = "00000001-0000-0000-0000-000000000000", "00000002-0000-0000-0000-000000000000"
	got, err := b.Find("PARTUUID=" + second)
	if err != nil || got.Name != "sda2" || got.PartUUID != second {
		t.Errorf("Find = %+v, %v; want sda2", got, err)
	}
	got, err = b.Sibling("PARTUUID="+second, "ROOT_A")
	if err != nil || got.Name != "sda1" || got.PartUUID != a {
		t.Errorf("Sibling = %+v, %v; want sda1 and its PARTUUID", got, err)
	}
}
