package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/osupdate"
)

func TestArgs(t *testing.T) {
	loader, err := bootloader.NewMemory(bootloader.Entry{Version: "v1", Cmdline: "ros.slot=A", Kernel: bootloader.Bytes([]byte("k")), Initrd: bootloader.Bytes([]byte("i"))})
	if err != nil {
		t.Fatal(err)
	}
	set := func(now, was string) osupdate.ArgsOptions { return osupdate.ArgsOptions{Set: &now, Was: was} }
	for _, tt := range []struct {
		options osupdate.ArgsOptions
		want    any
		wantErr string
	}{
		{options: osupdate.ArgsOptions{}, want: osupdate.Args{}},
		{options: set("console=ttyS0  quiet", ""), want: osupdate.Args{Args: "console=ttyS0 quiet"}},
		{options: set("debug", ""), wantErr: "cannot keep the kernel arguments: they have been changed meanwhile, to: console=ttyS0 quiet"},
		{options: set("ros.slot=B", "console=ttyS0 quiet"), wantErr: `cannot keep the kernel arguments: "ros.slot" belongs to the boot loader`},
		{options: osupdate.ArgsOptions{}, want: osupdate.Args{Args: "console=ttyS0 quiet"}},
		{options: set("", "console=ttyS0 quiet"), want: osupdate.Args{}},
	} {
		got, err := changeArgs(loader, tt.options)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(tt.want, got); diff != "" && tt.wantErr == "" || text != tt.wantErr {
			t.Errorf("args %+v: error %q, want %q (-want +got):\n%s", tt.options, text, tt.wantErr, diff)
		}
	}
}
