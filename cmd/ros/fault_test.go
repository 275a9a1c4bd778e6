package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

func TestUsageFaults(t *testing.T) {
	for _, tt := range []struct {
		line string
		want string
	}{
		{"ros servcie ps -q", "ros: cannot run \"servcie\": \"ros\" has no such verb\ntry: ros service\n"},
		{"ros xyzzy", "ros: cannot run \"xyzzy\": \"ros\" has no such verb\ntry: ros --help\n"},
		{"ros stat", "ros: cannot run \"stat\": \"ros\" has no such verb\ntry: ros status\n"},
		{"ros service strat ntp", "ros: cannot run \"strat\": \"ros service\" has no such verb\ntry: ros service start\n"},
		{"ros s sp ntp", "ros: cannot run \"sp\": \"ros service\" has no such verb\ntry: ros service spec\n"},
		{"ros --jsno", "ros: cannot use flag --jsno: \"ros\" does not have it\ntry: ros --help\n"},
		{"ros status --jsno", "ros: cannot use flag --jsno: \"ros status\" does not have it\ntry: ros status --json\n"},
		{"ros service logs --follow-me ntp", "ros: cannot use flag --follow-me: \"ros service logs\" does not have it\ntry: ros service logs --follow\n"},
		{"ros service ps -x", "ros: cannot use flag -x: \"ros service ps\" does not have it\ntry: ros service ps --help\n"},
		{"ros boot --svg", "ros: cannot use flag --svg: it needs a value\ntry: ros boot --help\n"},
		{"ros service logs -n many ntp", "ros: cannot use \"many\" for flag -n: not a number\ntry: ros service logs --help\n"},
		{"ros config set --try soon hostname x", "ros: cannot use \"soon\" for flag --try: not a time such as 30s or 2m\ntry: ros config set --help\n"},
		{"ros switch-console debian", "ros: cannot run \"switch-console\": \"ros\" has no such verb\ntry: ros console switch NAME\n"},
		{"ros user-docker", "ros: cannot run \"user-docker\": \"ros\" has no such verb\ntry: ros service restart docker\n"},
		{"ros udev-settle", "ros: cannot run \"udev-settle\": \"ros\" has no such verb\ntry: ros service exec udev udevadm settle\n"},
		{"ros service --debug ps", "ros: cannot use flag --debug: \"ros service\" does not have it\ntry: ros service logs rosd\n"},
		{"ros reboot --kexec", "ros: cannot use flag --kexec: \"ros reboot\" does not have it\ntry: ros os upgrade --kexec\n"},
		{"ros events now", "ros: cannot use \"now\": \"ros events\" takes no arguments\ntry: ros events --help\n"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			check(t, newApp(t, machine()), tt.line, result{err: tt.want, code: exitUsage})
		})
	}
}

// TestForbidden: where rosd says that it takes root, so does the next step.
func TestForbidden(t *testing.T) {
	a := newApp(t, nil)
	var said bytes.Buffer
	a.argv, a.stderr = []string{"ros", "os", "list"}, &said
	err := a.explain("list the releases", &refusal{status: 403, message: "only root may change the OS"})
	if code := a.report("ros", err); code != exitFailed {
		t.Errorf("exit status %d, want %d", code, exitFailed)
	}
	want := "ros: cannot list the releases: only root may change the OS\ntry: sudo ros os list\n"
	if got := said.String(); got != want {
		t.Errorf("says %q, want %q", got, want)
	}
}

// TestForced: whoever typed sudo has to type it again.
func TestForced(t *testing.T) {
	a := newApp(t, nil)
	a.getenv = func(name string) string { return map[string]string{"SUDO_USER": "rancher"}[name] }
	check(t, a, "ros os rollback", result{code: exitUsage,
		err: "ros: cannot ask before the restart: this is not a terminal, or for a program\ntry: sudo ros os rollback --force\n"})
}

// Every verb that asks rosd says the same when there is none.
func TestUnreachable(t *testing.T) {
	for _, tt := range []struct{ line, doing string }{
		{"ros status", "show the status"},
		{"ros boot", "show the services of the boot"},
		{"ros events", "follow the events"},
		{"ros service ps", "show the services"},
		{"ros service list --json", "list the services"},
		{"ros service plan", "show the plan"},
		{"ros service spec ntp", `show the spec of service "ntp"`},
		{"ros service up ntp", "read the service files"},
		{"ros service start ntp cron", `start service "ntp"`},
		{"ros service stop ntp cron", `stop service "ntp"`},
		{"ros service restart ntp", `restart service "ntp"`},
		{"ros service kill ntp", `kill service "ntp"`},
		{"ros service rm ntp", `rm service "ntp"`},
	} {
		t.Run(tt.line, func(t *testing.T) {
			check(t, newApp(t, nil), tt.line, result{code: exitUnreachable,
				err: "ros: cannot " + tt.doing + ": rosd does not run (nothing listens at DIR/rosd.sock)\ntry: ros service logs rosd\n"})
		})
	}
}

// A socket file that nobody listens at any more is as good as none; a daemon
// that dies while it is asked is told apart.
func TestUnreachableLater(t *testing.T) {
	a := newApp(t, nil)
	listener, err := net.Listen("unix", a.socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		conn.Read(make([]byte, 1))
		conn.Close()
	}()
	check(t, a, "ros service ps", result{code: exitUnreachable,
		err: "ros: cannot show the services: rosd went away meanwhile\ntry: ros service logs rosd\n"})

	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close()
	check(t, a, "ros service ps", result{code: exitUnreachable,
		err: "ros: cannot show the services: rosd does not run (nothing listens at DIR/rosd.sock)\ntry: ros service logs rosd\n"})
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
		code int
	}{
		{name: "not allowed", err: &net.OpError{Op: "dial", Err: os.ErrPermission}, code: exitFailed,
			want: "ros: cannot show the services: no permission for /run/ros/api/rosd.sock (root and group ros may)\ntry: sudo ros service ps\n"},
		{name: "cut off", err: io.ErrUnexpectedEOF, code: exitUnreachable,
			want: "ros: cannot show the services: rosd went away meanwhile\ntry: ros service logs rosd\n"},
		{name: "refused, a sentence", err: &refusal{409, `cannot start service "ntp": it is stopping`}, code: exitFailed,
			want: "ros: cannot start service \"ntp\": it is stopping\n"},
		{name: "refused, a word", err: &refusal{500, "no memory"}, code: exitFailed,
			want: "ros: cannot show the services: no memory\n"},
		{name: "several", err: errors.Join(errors.New("one"), io.EOF), code: exitUnreachable,
			want: "ros: cannot show the services: rosd went away meanwhile\ntry: ros service logs rosd\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var errs bytes.Buffer
			a := &app{stderr: &errs, socket: "/run/ros/api/rosd.sock", argv: []string{"ros", "service", "ps"}}
			code := a.report("ros", a.explain("show the services", tt.err))
			if errs.String() != tt.want || code != tt.code {
				t.Errorf("reports %q and exits %d, want %q and %d", errs.String(), code, tt.want, tt.code)
			}
		})
	}
}

// brokenOutput is a disk that is full.
type brokenOutput struct{}

func (brokenOutput) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputCannotBeWritten(t *testing.T) {
	for _, verb := range []string{"ps", "list", "plan", "logs"} {
		a := newApp(t, machine())
		writeLogs(t, a, someLogs)
		var errs bytes.Buffer
		a.stdout, a.stderr = brokenOutput{}, &errs
		code := a.run(t.Context(), []string{"ros", "service", verb})
		if code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("ros service %s exits %d and says %q, want %d and the reason", verb, code, errs.String(), exitFailed)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"cron", "docker", "network", "ntp", "udev-coldplug"}
	for _, tt := range []struct{ word, want string }{
		{"dokcer", "docker"}, {"nettwork", "network"}, {"udev", "udev-coldplug"}, {"npt", "ntp"},
		{"kubernetes", ""}, {"", ""}, {"x", ""}, {"crons", "cron"},
	} {
		if got := nearest(tt.word, names); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}
