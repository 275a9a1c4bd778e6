// Package bootloadertest is the suite that every bootloader.Loader passes: what
// it keeps and refuses, and, over random traces with the power cut at every
// step, that what starts next is always a slot that was committed or the armed
// trial, and whole.
//
// CutFiles is a FAT file system in memory whose power can be cut, for loaders
// that keep their things in files.
package bootloadertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/slots"
)

// ErrCut is what a machine without power answers.
var ErrCut = errors.New("the power is cut")

// A Machine has a boot loader, and a plug.
type Machine interface {
	// Loader is the boot loader, as a program that has just been started finds it.
	Loader() bootloader.Loader
	// CutAfter cuts the power in the n-th step from now; never if n is 0.
	CutAfter(n int)
	// Steps counts the steps since CutAfter.
	Steps() int
	// PowerOn brings the machine back with what its disk holds then.
	PowerOn()
}

// Maker makes a machine with First committed in slot A. Random decides how a
// cut comes out.
type Maker func(t *testing.T, random *rand.Rand, room int64) Machine

// First is what is in slot A of every machine.
func First() bootloader.Entry { return entry(0) }

// entry is a release; every number has another.
func entry(n int) bootloader.Entry {
	e := bootloader.Entry{
		Version: fmt.Sprintf("v%d", n),
		Cmdline: fmt.Sprintf(`ros.image=PARTUUID=%d ros.slot=X "ros.note=a %d $x"`, n, n),
		Kernel:  bootloader.Bytes(bytes.Repeat([]byte{byte(n), 'k'}, 1500)),
		Initrd:  bootloader.Bytes(bytes.Repeat([]byte{byte(n), 'i'}, 3000)),
		Release: []byte(fmt.Sprintf(`{"version":"v%d"}`, n)),
	}
	if n%2 == 0 {
		e.Signature = []byte{byte(n)}
	}
	return e
}

// Suite runs all of it.
func Suite(t *testing.T, make Maker) {
	t.Run("boot", func(t *testing.T) { testBoot(t, make) })
	t.Run("slot", func(t *testing.T) { testSlot(t, make) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, make) })
	t.Run("room", func(t *testing.T) { testRoom(t, make) })
	t.Run("args", func(t *testing.T) { testArgs(t, make) })
	t.Run("args of a trial", func(t *testing.T) { testTrialArgs(t, make) })
	t.Run("every cut", func(t *testing.T) { testEveryCut(t, make) })
	t.Run("random traces", func(t *testing.T) { testTraces(t, make) })
}

func newMachine(t *testing.T, make Maker) Machine {
	return make(t, rand.New(rand.NewSource(1)), 1<<30)
}

func testBoot(t *testing.T, make Maker) {
	m := newMachine(t, make)
	must(t, m.Loader().WriteSlot(slots.B, entry(1)))
	for _, want := range []slots.Boot{
		{Committed: slots.A},
		{Committed: slots.A, Trial: slots.B, Tries: 3},
		{Committed: slots.A, Trial: slots.B},
		{Committed: slots.A, Trial: slots.B, Args: `quiet "a=b c" -- last`},
		{Committed: slots.A, Trial: slots.B, Tries: 1, Args: "debug"},
		{Committed: slots.A, Trial: slots.B},
		{Committed: slots.B, Previous: slots.A},
		{Committed: slots.B, Previous: slots.A, Trial: slots.A, Tries: 1},
		{Committed: slots.B},
	} {
		for range 2 {
			must(t, m.Loader().SetBoot(want))
		}
		m.PowerOn()
		got, err := m.Loader().Boot()
		if err != nil || got != want {
			t.Errorf("Boot() = %+v, %v, want %+v", got, err, want)
		}
	}
}

func testSlot(t *testing.T, make Maker) {
	m := newMachine(t, make)
	l := m.Loader()
	wantSlot(t, l, slots.A, First())
	wantEmpty(t, l, slots.B)
	for _, n := range []int{1, 2, 2} {
		must(t, l.WriteSlot(slots.B, entry(n)))
		m.PowerOn()
		l = m.Loader()
		wantSlot(t, l, slots.B, entry(n))
	}
	for range 2 {
		must(t, l.ClearSlot(slots.B))
		wantEmpty(t, l, slots.B)
	}
	wantSlot(t, l, slots.A, First())
}

func testRefusals(t *testing.T, make Maker) {
	m := newMachine(t, make)
	l := m.Loader()
	const change, write, clear = "cannot change what starts next: ", "cannot write slot ", "cannot clear slot "
	refused := func(err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
	}
	refused(l.SetBoot(slots.Boot{}), change+`no slot is committed: ""`)
	refused(l.SetBoot(slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}), change+"slot B: the slot is empty")
	refused(l.SetBoot(slots.Boot{Committed: slots.B}), change+"slot B: the slot is empty")
	refused(l.WriteSlot("C", entry(1)), write+`C: "C" is no slot: A or B`)
	refused(l.WriteSlot(slots.A, entry(1)), write+"A: slot A is the committed one")
	refused(l.ClearSlot(slots.A), clear+"A: slot A is the committed one")

	must(t, l.WriteSlot(slots.B, entry(1)))
	must(t, l.SetBoot(slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1}))
	refused(l.SetBoot(slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1, Args: "ros.slot=A"}), change+`"ros.slot" belongs to the boot loader`)
	refused(l.SetBoot(slots.Boot{Committed: slots.A, Args: "quiet"}), change+"there are kernel arguments of a trial, but nothing is on trial")
	refused(l.WriteSlot(slots.B, entry(2)), write+"B: slot B is on trial")
	refused(l.ClearSlot(slots.B), clear+"B: slot B is on trial")
	must(t, l.SetBoot(slots.Boot{Committed: slots.A, Previous: slots.B}))
	refused(l.WriteSlot(slots.B, entry(2)), write+"B: slot B is the previous one, which the boot menu offers")
	refused(l.ClearSlot(slots.B), clear+"B: slot B is the previous one, which the boot menu offers")
	wantSlot(t, l, slots.A, First())
	wantSlot(t, l, slots.B, entry(1))
	if got, err := l.Boot(); err != nil || got != (slots.Boot{Committed: slots.A, Previous: slots.B}) {
		t.Errorf("Boot() = %+v, %v: a refusal has changed it", got, err)
	}
}

func testRoom(t *testing.T, make Maker) {
	const room = 1 << 20
	m := make(t, rand.New(rand.NewSource(1)), room)
	l := m.Loader()
	must(t, l.WriteSlot(slots.B, entry(1)))
	large := entry(2)
	large.Kernel = bootloader.Bytes(bytes.Repeat([]byte("k"), 2*room))
	err := l.WriteSlot(slots.B, large)
	if err == nil || !strings.Contains(err.Error(), "on the EFI system partition, which has room for ") {
		t.Errorf("WriteSlot of more than there is room for = %v, want it refused", err)
	}
	wantSlot(t, l, slots.B, entry(1))
	testFits(t, m, large)
	for range 5 { // the room of what is replaced counts
		must(t, l.WriteSlot(slots.B, entry(3)))
	}
}

// testFits: Fits says what WriteSlot will, also of a slot that must still be
// whole, and touches nothing.
func testFits(t *testing.T, m Machine, large bootloader.Entry) {
	t.Helper()
	l := m.Loader()
	wrong := l.WriteSlot(slots.B, large)
	kept := slots.Boot{Committed: slots.A, Previous: slots.B}
	must(t, l.SetBoot(kept))
	m.CutAfter(0)
	if err := l.Fits(slots.B, size(large)); err == nil || err.Error() != wrong.Error() {
		t.Errorf("Fits of more than there is room for = %v, want what WriteSlot says: %v", err, wrong)
	}
	must(t, l.Fits(slots.B, size(entry(3))))
	if err := l.Fits("C", 1); err == nil || err.Error() != `cannot write slot C: "C" is no slot: A or B` {
		t.Errorf("Fits of no slot = %v, want it refused", err)
	}
	if m.Steps() != 0 {
		t.Errorf("Fits took %d steps, want none", m.Steps())
	}
	if got, err := l.Boot(); err != nil || got != kept {
		t.Errorf("Boot() after Fits = %+v, %v, want %+v", got, err, kept)
	}
	must(t, l.SetBoot(slots.Boot{Committed: slots.A}))
}

// size is what Fits is asked for.
func size(e bootloader.Entry) int64 { return e.Kernel.Size + e.Initrd.Size }

func testArgs(t *testing.T, make Maker) {
	m := newMachine(t, make)
	for _, tt := range []struct{ args, want, wantErr string }{
		{args: "console=tty0 console=ttyS0,115200", want: "console=tty0 console=ttyS0,115200"},
		{args: `  a="b c"  "d=e  f" x;y $HOME {z} #h `, want: `"a=b c" "d=e  f" x;y $HOME {z} #h`},
		{args: `rancher.debug -- rancher.password=x`, want: `rancher.debug -- rancher.password=x`},
		{args: "", want: ""},
		{args: "ros.trial=0", wantErr: `"ros.trial" belongs to the boot loader`},
		{args: "quiet ros.slot=B", wantErr: `"ros.slot" belongs to the boot loader`},
		{args: `a=b"c"d`, wantErr: `GRUB cannot pass on "a=b\"c\"d": it has a quote or a backslash within`},
		{args: `a='b'`, wantErr: `GRUB cannot pass on "a='b'": it has a quote or a backslash within`},
		{args: `a=\b`, wantErr: `GRUB cannot pass on "a=\\b": it has a quote or a backslash within`},
		{args: "a\nset committed=B", wantErr: "there is a control character in them"},
	} {
		before, err := m.Loader().Args()
		must(t, err)
		boot, err := m.Loader().Boot()
		must(t, err)
		err = m.Loader().SetArgs(tt.args)
		if tt.wantErr != "" {
			if err == nil || err.Error() != "cannot keep the kernel arguments: "+tt.wantErr {
				t.Errorf("SetArgs(%q) = %v, want %s", tt.args, err, tt.wantErr)
			}
			tt.want = before
		} else {
			must(t, err)
		}
		m.PowerOn()
		if got, err := m.Loader().Args(); err != nil || got != tt.want {
			t.Errorf("Args() after SetArgs(%q) = %q, %v, want %q", tt.args, got, err, tt.want)
		}
		if got, err := m.Loader().Boot(); err != nil || got != boot {
			t.Errorf("SetArgs(%q) changed Boot to %+v, %v", tt.args, got, err)
		}
	}
}

// testTrialArgs: what a trial was started with becomes the operator's when the
// trial is committed, and nobody's when it is not.
func testTrialArgs(t *testing.T, make Maker) {
	armed := slots.Boot{Committed: slots.A, Trial: slots.B, Tries: 1, Args: "x=2 quiet -- y"}
	commit := slots.Boot{Committed: slots.B, Previous: slots.A}
	for _, tt := range []struct {
		name  string
		args  string // of the operator, before
		boots []slots.Boot
		then  string // of the operator, set behind the first of boots; "": they stay
		want  string
	}{
		{name: "armed", args: "x=1", boots: []slots.Boot{armed}, want: "x=1"},
		{name: "given up", args: "x=1", boots: []slots.Boot{armed, {Committed: slots.A}}, want: "x=1"},
		{name: "armed again", args: "x=1", boots: []slots.Boot{armed, {Committed: slots.A, Trial: slots.B, Tries: 1}, commit}, want: "x=1"},
		{name: "armed with others", args: "x=1", boots: []slots.Boot{armed, {Committed: slots.A, Trial: slots.B, Tries: 1, Args: "z"}, commit}, want: "x=1 z"},
		{name: "committed", args: "x=1 -- w", boots: []slots.Boot{armed, {Committed: slots.A, Trial: slots.B, Args: armed.Args}, commit},
			want: "x=1 x=2 quiet -- w y"},
		{name: "there already", args: "x=2 x=1 quiet -- y w", boots: []slots.Boot{armed, commit}, want: "x=1 x=2 quiet -- w y"},
		{name: "changed meanwhile", args: "x=1", boots: []slots.Boot{armed, commit}, then: "v", want: "v x=2 quiet -- y"},
		{name: "changed and given up", args: "x=1", boots: []slots.Boot{armed, {Committed: slots.A}}, then: "v", want: "v"},
		{name: "and there again", args: "x=1", boots: []slots.Boot{armed, commit,
			{Committed: slots.B, Trial: slots.A, Tries: 1, Args: "quiet"}, {Committed: slots.A, Previous: slots.B}}, want: "x=1 x=2 quiet -- y"},
	} {
		m := newMachine(t, make)
		must(t, m.Loader().WriteSlot(slots.B, entry(1)))
		must(t, m.Loader().SetArgs(tt.args))
		for i, b := range tt.boots {
			m.CutAfter(0)
			must(t, m.Loader().SetBoot(b))
			if m.Steps() != 1 && b.Args == "" {
				t.Errorf("%s: to set %+v took %d writes, want 1", tt.name, b, m.Steps())
			}
			if i == 0 && tt.then != "" {
				must(t, m.Loader().SetArgs(tt.then))
			}
			m.PowerOn()
			if got, err := m.Loader().Boot(); err != nil || got != b {
				t.Errorf("%s: Boot() = %+v, %v, want %+v", tt.name, got, err, b)
			}
		}
		if got, err := m.Loader().Args(); err != nil || got != tt.want {
			t.Errorf("%s: Args() = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantEmpty(t *testing.T, l bootloader.Loader, s slots.Slot) {
	t.Helper()
	if _, err := l.ReadSlot(s); !errors.Is(err, bootloader.ErrEmpty) {
		t.Errorf("ReadSlot(%s) = %v, want ErrEmpty", s, err)
	}
}

func wantSlot(t *testing.T, l bootloader.Loader, s slots.Slot, want bootloader.Entry) {
	t.Helper()
	got, err := l.ReadSlot(s)
	if err != nil {
		t.Errorf("ReadSlot(%s) = %v, want %s", s, err, want.Version)
		return
	}
	if diff := cmp.Diff(texts(t, want), texts(t, got)); diff != "" {
		t.Errorf("slot %s differs (-want +got):\n%s", s, diff)
	}
}

// texts is an entry with its files read, for comparing. The quotes of its kernel
// arguments may have moved.
func texts(t *testing.T, e bootloader.Entry) map[string]string {
	t.Helper()
	content := func(f bootloader.File) string {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		if err != nil || int64(len(text)) != f.Size {
			t.Fatalf("read %d bytes of %d: %v", len(text), f.Size, err)
		}
		return string(text)
	}
	return map[string]string{
		"version": e.Version, "cmdline": e.Cmdline, "kernel": content(e.Kernel), "initrd": content(e.Initrd),
		"release": string(e.Release), "signature": string(e.Signature),
	}
}
