package mounts

import (
	"bufio"
	"io"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Point is a mount as the kernel lists it.
type Point struct {
	Target, FSType, Source string
}

// Table reads the text of /proc/PID/mountinfo: the mounts, the latest last.
// Lines that are none are passed over.
func Table(mountinfo io.Reader) ([]Point, error) {
	var points []Point
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20) // an overlay with many layers has a long line
	for lines.Scan() {
		// proc_pid_mountinfo(5): 36 35 98:0 /root /target options [tags] - type source options
		front, back, ok := strings.Cut(lines.Text(), " - ")
		before, after := strings.Fields(front), strings.Fields(back)
		if !ok || len(before) < 5 || len(after) < 2 {
			continue
		}
		points = append(points, Point{Target: unescape(before[4]), FSType: after[0], Source: unescape(after[1])})
	}
	return points, lines.Err()
}

// Swaps reads the text of /proc/swaps: the devices and files that are swapped to.
func Swaps(text string) []string {
	var paths []string
	_, entries, _ := strings.Cut(text, "\n") // the heading
	for line := range strings.Lines(entries) {
		if fields := strings.Fields(line); len(fields) > 0 {
			paths = append(paths, unescape(fields[0]))
		}
	}
	return paths
}

// Swapon lets the kernel swap to a device or a file; see swapon(2).
func Swapon(path string) error { return swap(unix.SYS_SWAPON, path) }

// Swapoff is its opposite: what was swapped out comes back into memory first.
func Swapoff(path string) error { return swap(unix.SYS_SWAPOFF, path) }

func swap(call uintptr, path string) error {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(call, uintptr(unsafe.Pointer(name)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// unescape turns the kernel's \040 and the like back into what they stand for.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }
