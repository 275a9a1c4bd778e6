package qemu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fakeConsole is a console whose guest is the test.
func fakeConsole(t *testing.T) (c *Console, guest io.WriteCloser, typed *bytes.Buffer) {
	t.Helper()
	out, guest := io.Pipe()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	typed = &bytes.Buffer{}
	c, ended := newConsole(typed, out, log)
	t.Cleanup(func() {
		guest.Close()
		<-ended
		log.Close()
	})
	return c, guest, typed
}

func TestExpectReadsForward(t *testing.T) {
	c, guest, _ := fakeConsole(t)
	io.WriteString(guest, "Welcome\r\n\x1b[1mhost\x1b[0m login: ")
	for _, want := range []string{"^Welcome$", "^host login: $"} {
		if _, err := c.Expect(t.Context(), regexp.MustCompile(want)); err != nil {
			t.Fatal(err)
		}
	}
	// The prompt was used up: the next one is that of the next boot.
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("waited long enough"))
	_, err := c.Expect(ctx, regexp.MustCompile("login:"))
	if err == nil || !strings.Contains(err.Error(), "waited long enough") {
		t.Fatalf("a second login prompt: error = %v", err)
	}
	io.WriteString(guest, "\r\nrebooting\r\nhost login: ")
	if _, err := c.Expect(t.Context(), regexp.MustCompile("login:")); err != nil {
		t.Fatal(err)
	}
}

func TestExpectGivesUpEarly(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"machine ended", "last words\r\n", "the machine ended"},
		{"kernel panic", "[ 1.0] Kernel panic - not syncing: no root\r\n", "the kernel panicked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, guest, _ := fakeConsole(t)
			io.WriteString(guest, tt.text)
			if tt.name == "machine ended" {
				guest.Close()
			}
			_, err := c.Expect(t.Context(), regexp.MustCompile("login:"))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), strings.TrimSpace(tt.text)) {
				t.Errorf("error = %v, want one with %q and the last lines", err, tt.want)
			}
		})
	}
}

func TestShell(t *testing.T) {
	out, guest := io.Pipe()
	in, typing := io.Pipe()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c, ended := newConsole(typing, out, log)
	go func() {
		// A terminal that echoes what is typed, and a shell behind it.
		buf := make([]byte, 1024)
		n, _ := in.Read(buf)
		line := strings.TrimSuffix(string(buf[:n]), "\r")
		io.WriteString(guest, line+"\r\n")
		marker := regexp.MustCompile(`'be''gin'(\w+);`).FindStringSubmatch(line)[1]
		io.WriteString(guest, "begin"+marker+"\r\none\r\ntwo\r\nend"+marker+" 12")
		io.WriteString(guest, "7 .\r\n# ")
		guest.Close()
	}()
	text, code, err := c.Shell(t.Context(), "something")
	if err != nil || code != 127 || text != "one\ntwo" {
		t.Errorf("Shell = %q, %d, %v, want \"one\\ntwo\", 127", text, code, err)
	}
	<-ended
}

func TestClean(t *testing.T) {
	for _, tt := range []struct{ raw, want string }{
		{"plain\r\n", "plain\n"},
		{"\x1b[?2004h\x1b[01;32muser\x1b[00m$ ", "user$ "},
		{"\x1b]0;title\x07after", "after"},
		{"\x1bc\x1b(Breset", "reset"},
	} {
		if got := string(clean([]byte(tt.raw))); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.raw, got, tt.want)
		}
	}
}

func TestFaults(t *testing.T) {
	bad := []string{
		"[    9.4] Kernel panic - not syncing: sysrq triggered crash",
		"[    2.0] Oops: 0000 [#1] PREEMPT SMP NOPTI",
		"[   61.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
		"[    1.2] WARNING: CPU: 1 PID: 1 at kernel/fork.c:1 x+0x1/0x2",
		"[    1.2] ntpd[123]: segfault at 0 ip 0 sp 0 error 4",
		"[    8.8] EXT4-fs error (device vda): ext4_lookup:1: inode #2",
		"2026-11-23T12:00:00.123456Z stderr panic: runtime error: index out of range",
		"fatal error: all goroutines are asleep - deadlock!",
		"goroutine 1 [running]:",
		"[   30.1] Out of memory: Killed process 77 (dockerd)",
		"[    0.4] Unable to handle kernel NULL pointer dereference at virtual address 0",
	}
	good := []string{
		"[    0.0] Command line: console=ttyS0 panic=10",
		"[    3.0] EXT4-fs (vda): mounted filesystem with ordered data mode",
		"warn state       0.010 s  the state disk cannot be used",
		"level=info msg=\"bugs were fixed\"",
	}
	if got := Faults(strings.Join(append(good, bad...), "\r\n")); strings.Join(got, "|") != strings.Join(bad, "|") {
		t.Errorf("Faults found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(bad, "\n"))
	}
	if got := Faults(bad[5], regexp.MustCompile(`EXT4-fs error \(device vda\)`)); got != nil {
		t.Errorf("an allowed fault was found: %q", got)
	}
	if err := ScanError("the console", strings.Join(good, "\n")); err != nil {
		t.Error(err)
	}
	if err := ScanError("the console", bad[0]); err == nil || !strings.Contains(err.Error(), "the console") {
		t.Errorf("ScanError = %v, want one that names the console", err)
	}
}

func TestFlipByte(t *testing.T) {
	dir := t.TempDir()
	image := bytes.Repeat([]byte("0123456789abcdef"), 10<<10)
	iso := append(make([]byte, 5*2048), image...)
	iso = append(iso, make([]byte, 4096)...)
	// Something that begins like the image and is not.
	copy(iso[2048:], image[:2048])
	names := map[string][]byte{"image": image, "iso": iso}
	for name, text := range names {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(dir, "flipped")
	if err := FlipByte(filepath.Join(dir, "iso"), filepath.Join(dir, "image"), to, 512); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	iso[5*2048+512] ^= 0xff
	if !bytes.Equal(got, iso) {
		t.Error("the copy does not differ in byte 512 of the image and nowhere else")
	}
}
