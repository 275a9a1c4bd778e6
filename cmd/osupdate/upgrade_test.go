package main

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/rosteros/ros/internal/signature"
)

func TestNotOpened(t *testing.T) {
	const cannot = `cannot open release "v2": `
	for _, tt := range []struct {
		err  error
		keys bool
		want string
	}{
		{syscall.ENOSPC, true, "the state disk is full: " + cannot + "no space left on device"},
		{signature.ErrUnsigned, true, cannot + "it is not signed (--take-what-nobody-signed takes it all the same)"},
		{signature.ErrUnsigned, false, cannot + "it is not signed; this OS image was built without a key, and rancher.upgrade.trusted_keys has none (--take-what-nobody-signed takes it all the same)"},
		{errors.New("no route to host"), false, cannot + "no route to host"},
	} {
		if err := notOpened(fmt.Errorf("%s%w", cannot, tt.err), tt.keys); err == nil || err.Error() != tt.want {
			t.Errorf("notOpened(%v, %v) = %v, want %s", tt.err, tt.keys, err, tt.want)
		}
	}
	if err := notOpened(nil, true); err != nil {
		t.Errorf("notOpened(nil) = %v", err)
	}
}
