package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLogLine is how much of a line is kept for a boot note.
const maxLogLine = 300

// kernelLog is the last n lines of the kernel log, as dmesg prints them.
func kernelLog(device string, n int) []string {
	// By hand: an os.File would wait for the next record at the end.
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var lines []string
	record := make([]byte, 8<<10) // the kernel's own bound of a record
	for {
		size, err := unix.Read(fd, record)
		if err == unix.EPIPE || err == unix.EINTR {
			continue // overwritten while we read: the next read goes on behind it
		}
		if err != nil || size <= 0 {
			return lines
		}
		if line, ok := kernelLine(record[:size]); ok {
			if len(lines) == n {
				lines = lines[1:]
			}
			lines = append(lines, line)
		}
	}
}

// kernelLine reads one record of /dev/kmsg, "6,339,5140900,-;text\n KEY=value\n"
// (Documentation/ABI/testing/dev-kmsg in the kernel).
func kernelLine(record []byte) (string, bool) {
	head, text, ok := bytes.Cut(record, []byte{';'})
	fields := strings.Split(string(head), ",")
	if !ok || len(fields) < 3 {
		return "", false
	}
	us, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return "", false
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	return cut(fmt.Sprintf("[%5d.%06d] %s", us/1e6, us%1e6, line)), true
}

func cut(line string) string {
	if len(line) > maxLogLine {
		return strings.ToValidUTF8(line[:maxLogLine], "") + "…"
	}
	return line
}
