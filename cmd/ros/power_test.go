package main

import (
	"bufio"
	"net"
	"slices"
	"sync"
	"testing"
)

// A fakeInit is PID 1's socket: it says the same to everybody and remembers
// what it was told.
type fakeInit struct {
	answer string

	mu   sync.Mutex
	told []string
}

func (f *fakeInit) serve(t *testing.T, socket string) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			f.mu.Lock()
			f.told = append(f.told, line)
			f.mu.Unlock()
			conn.Write([]byte(f.answer + "\n"))
			conn.Close()
		}
	}()
}

func TestPower(t *testing.T) {
	const (
		poweroff = `{"op":"poweroff"}` + "\n"
		reboot   = `{"op":"reboot"}` + "\n"
		halt     = `{"op":"halt"}` + "\n"
	)
	off := result{out: "The machine will power off now.\n"}
	again := result{out: "The machine will reboot now.\n"}
	stays := result{out: "The machine will halt now.\n"}
	for _, tt := range []struct {
		line string
		want result
		told string // "": nothing
	}{
		{line: "ros poweroff", want: off, told: poweroff},
		{line: "ros reboot", want: again, told: reboot},
		{line: "ros halt", want: stays, told: halt},
		{line: "poweroff", want: off, told: poweroff},
		{line: "/usr/sbin/reboot", want: again, told: reboot},
		{line: "halt", want: stays, told: halt},
		{line: "reboot -f", want: again, told: `{"op":"reboot","force":true}` + "\n"},
		{line: "ros poweroff --force", want: off, told: `{"op":"poweroff","force":true}` + "\n"},
		{line: "shutdown now", want: off, told: poweroff},
		{line: "shutdown -h now", want: off, told: poweroff},
		{line: "shutdown -P +0", want: off, told: poweroff},
		{line: "shutdown -hP now", want: off, told: poweroff},
		{line: "ros shutdown -r now", want: again, told: reboot},
		{line: "shutdown -H now", want: stays, told: halt},
		{line: "shutdown -h -H now", want: stays, told: halt},
		{line: "shutdown -rf now", want: again, told: `{"op":"reboot","force":true}` + "\n"},
		{line: "/sbin/shutdown -h -P now power button pressed",
			want: result{out: "The machine will power off now (power button pressed).\n"}, told: poweroff},

		{line: "shutdown -r", want: result{code: 2, err: "shutdown: cannot shut down: say when\ntry: shutdown now\n"}},
		{line: "ros shutdown -r 23:00", want: result{code: 2, err: "ros: cannot shut down at \"23:00\": the only time is now\ntry: ros shutdown now\n"}},
		{line: "shutdown -r -h now", want: result{code: 2, err: "shutdown: cannot both reboot and stay down: choose one\ntry: shutdown --help\n"}},
		{line: "shutdown -c", want: result{code: 2, err: "shutdown: cannot use flag -c: \"shutdown\" does not have it\ntry: shutdown --help\n"}},
		{line: "reboot now", want: result{code: 2, err: "reboot: cannot use \"now\": \"reboot\" takes no arguments\ntry: reboot --help\n"}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			pid1 := &fakeInit{answer: `{"ok":true}`}
			a := newApp(t, nil)
			pid1.serve(t, a.initSocket)
			check(t, a, tt.line, tt.want)
			var want []string
			if tt.told != "" {
				want = []string{tt.told}
			}
			if !slices.Equal(pid1.told, want) {
				t.Errorf("%s tells PID 1 %q, want %q", tt.line, pid1.told, want)
			}
		})
	}
}

func TestPowerRefused(t *testing.T) {
	a := newApp(t, nil)
	check(t, a, "poweroff", result{code: 3, err: `poweroff: cannot power off: PID 1 does not run (nothing listens at DIR/init.sock)
try: the power button, or Ctrl-Alt-Del on the machine's keyboard
`})
	(&fakeInit{answer: `{"error":"the machine is going down: reboot"}`}).serve(t, a.initSocket)
	check(t, a, "poweroff", result{code: 1, err: "poweroff: cannot power off: cannot ask PID 1 to poweroff: the machine is going down: reboot\n"})
}
