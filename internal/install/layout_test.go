package install_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/install"
)

const gib = 1 << 30

// TestScript holds the partition tables of disks of several sizes.
func TestScript(t *testing.T) {
	want, err := os.ReadFile("testdata/scripts.golden")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, d := range []struct{ size, sector int64 }{
		{2 * gib, 512}, {4 * gib, 512}, {8 * gib, 512}, {100*gib + 12345*512, 512}, {2 * gib, 4096}, {100 * gib, 4096},
	} {
		layout, err := install.Plan(d.size, d.sector)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "--- %d bytes, sectors of %d\n%s", d.size, d.sector, install.Script(layout, install.FixedIDs("golden")))
	}
	if *update {
		if err := os.WriteFile("testdata/scripts.golden", []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("partition tables (-want +got):\n%s", diff)
	}
}

// TestPlan: partitions begin at a MiB, do not overlap and leave the ends of the
// disk to its table.
func TestPlan(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		for size := int64(2 * gib); size < 20*gib; size += 777*mib + 512*131 {
			size = size / sector * sector
			layout, err := install.Plan(size, sector)
			if err != nil {
				t.Fatal(err)
			}
			end := int64(mib)
			for n := install.BIOS; n <= install.State; n++ {
				p := layout.Part(n)
				if p.Start != end || p.Start%mib != 0 || p.Size <= 0 || p.Size%mib != 0 {
					t.Fatalf("disk of %d bytes: partition %d is %+v, the one before ends at %d", size, n, p, end)
				}
				end = p.End()
			}
			if size-end < mib || size-end >= 2*mib {
				t.Fatalf("disk of %d bytes: %d bytes behind the last partition", size, size-end)
			}
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, tt := range []struct {
		size, sector int64
		want         string
	}{
		{2*gib - 512, 512, "it has 2.0 GiB, at least 2.0 GiB are needed"},
		{100 * mib, 512, "it has 100.0 MiB, at least 2.0 GiB are needed"},
		{8 * gib, 2048, "its sectors have 2048 bytes, only 512 and 4096 are known"},
	} {
		if _, err := install.Plan(tt.size, tt.sector); err == nil || err.Error() != tt.want {
			t.Errorf("Plan(%d, %d) = %v, want %s", tt.size, tt.sector, err, tt.want)
		}
	}
}

func TestIDs(t *testing.T) {
	a, b := install.FixedIDs("a"), install.FixedIDs("a")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("FixedIDs differ for the same seed:\n%s", diff)
	}
	for name, ids := range map[string]install.IDs{"another seed": install.FixedIDs("b"), "random": install.RandomIDs()} {
		if ids.Disk == a.Disk || ids.State == a.State || ids.Parts[install.RootA] == a.Parts[install.RootA] {
			t.Errorf("%s: the same IDs", name)
		}
	}
}
