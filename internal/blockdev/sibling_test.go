package blockdev_test

import (
	"strings"
	"testing"
)

func TestSibling(t *testing.T) {
	b := newBench(t)
	for _, disk := range []string{"sda", "sdb"} {
		b.disk(disk, 4<<20, nil)
		b.partition(disk, 2, 1<<20, "ESP", nil)
	}
	b.partition("sda", 3, 1<<20, "ROOT_A", nil)
	b.partition("sdb", 4, 1<<20, "ROOT_A", nil)
	for _, tt := range []struct{ name, spec, label, want, wantErr string }{
		{name: "first disk", spec: "PARTUUID=00000003-aaaa", label: "ESP", want: "sda2"},
		{name: "second disk", spec: "PARTUUID=00000004-aaaa", label: "ESP", want: "sdb2"},
		{name: "itself", spec: "PARTUUID=00000004-aaaa", label: "ROOT_A", want: "sdb4"},
		{name: "not on this disk", spec: "PARTUUID=00000004-aaaa", label: "ROOT_B", wantErr: "no partition ROOT_B beside DEV/sdb4: no such device"},
		{name: "no such disk", spec: "PARTUUID=9", label: "ESP", wantErr: `cannot find device "PARTUUID=9": no such device`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := b.Sibling(tt.spec, tt.label)
			if msg := strings.ReplaceAll(text(err), b.Dev, "DEV"); msg != tt.wantErr || got.Name != tt.want {
				t.Errorf("Sibling = %q, %q, want %q, %q", got.Name, msg, tt.want, tt.wantErr)
			}
		})
	}
}
