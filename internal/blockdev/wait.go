package blockdev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// poll is how often Wait looks again when the kernel reports nothing: labels
// appear without an event, and events get lost when there are many.
const poll = 500 * time.Millisecond

// Wait is Find, again and again until the device is there or ctx ends. Before
// each look but the first it calls changed, if that is not nil: loading modules
// for new devices belongs there.
func (h Host) Wait(ctx context.Context, spec string, changed func()) (Device, error) {
	return h.WaitAny(ctx, []string{spec}, changed)
}

// WaitAny is Wait for whichever of specs is there first; of several the one
// that is named first. The error is about the first, unless another is
// nonsense.
func (h Host) WaitAny(ctx context.Context, specs []string, changed func()) (Device, error) {
	// Listen before the first look, or what comes in between is lost.
	events, stop := uevents()
	defer stop()
	return wait(ctx, func() (d Device, err error) {
		for _, spec := range specs {
			found, ferr := h.Find(spec)
			if ferr == nil || !errors.Is(ferr, ErrNotFound) {
				return found, ferr
			}
			err = cmp.Or(err, ferr)
		}
		return d, err
	}, events, changed)
}

func wait(ctx context.Context, find func() (Device, error), events <-chan struct{}, changed func()) (Device, error) {
	if changed == nil {
		changed = func() {}
	}
	start := time.Now()
	for first := true; ; first = false {
		d, err := find()
		if err == nil || !errors.Is(err, ErrNotFound) {
			return d, err
		}
		if first { // what came before anybody listened was told to nobody
			changed()
			continue
		}
		again := time.NewTimer(poll)
		select {
		case <-ctx.Done():
			again.Stop()
			if waited := time.Since(start).Round(100 * time.Millisecond); waited > 0 {
				err = fmt.Errorf("%w (waited %s)", err, waited)
			}
			return Device{}, err
		case <-events:
			again.Stop()
		case <-again.C:
		}
		changed()
	}
}

// uevents tells of each burst of kernel events about devices. Without the right
// to listen it never tells anything, and Wait polls.
func uevents() (events <-chan struct{}, stop func()) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, func() {}
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		unix.Close(fd)
		return nil, func() {}
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, func() {}
	}
	bursts := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		listen(fd, wake, bursts)
	}()
	return bursts, func() {
		unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		<-done
		unix.Close(fd)
		unix.Close(wake)
	}
}

// listen reads what fd has until wake can be read.
func listen(fd, wake int, bursts chan<- struct{}) {
	message := make([]byte, 16<<10)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		for { // everything that has piled up is one burst
			_, _, err := unix.Recvfrom(fd, message, 0)
			if errors.Is(err, unix.ENOBUFS) {
				continue // some were lost: a reason to look all the more
			}
			if err != nil {
				break
			}
		}
		select {
		case bursts <- struct{}{}:
		default: // one is waiting to be seen already
		}
	}
}
