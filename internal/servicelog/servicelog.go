// Package servicelog is the log of every service: one text file each, bounded
// in size and number, below one directory.
//
// PID 1 writes them (Sink): it holds the read ends of the pipes that services
// write to, so that no other process can die and take a line with it. Anyone
// may read them (Tail, Follow). In between stands a line of text:
//
//	2026-11-23T12:00:00.123456Z stdout the text
//
// The package also knows the URI that makes containerd's shim hand a
// container's pipes to PID 1 (URI, ParseArgs). It does not know services;
// a name that may be part of a file name is all it asks for.
package servicelog

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Dir is where the logs of the running machine are.
const Dir = "/var/log/ros"

// The streams of a line.
const (
	Stdout = "stdout"
	Stderr = "stderr"
	Note   = "note" // written by the Sink itself: lines were dropped
)

// timeLayout has a fixed width, so that lines stand below each other and sort
// as text.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Limits bound the log of one service.
type Limits struct {
	MaxBytes int64 // of one file; only a single longer line goes over it
	Files    int   // kept, with the one that is written to
}

// DefaultLimits apply to fields of Limits that are 0.
var DefaultLimits = Limits{MaxBytes: 1 << 20, Files: 3}

func (l Limits) orDefault() Limits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = DefaultLimits.MaxBytes
	}
	if l.Files <= 0 {
		l.Files = DefaultLimits.Files
	}
	return l
}

// Line is one line of a log.
type Line struct {
	Time   time.Time // zero: the line is not in the format (a torn write after a power cut)
	Stream string
	Text   string
}

// Parse reads a line as it stands in a file, without its newline. A line that
// is not in the format becomes Text as it is: a reader should see everything.
func Parse(line string) Line {
	stamp, rest, ok := strings.Cut(line, " ")
	if !ok || len(stamp) != len(timeLayout) {
		return Line{Text: line}
	}
	t, err := time.Parse(timeLayout, stamp)
	if err != nil {
		return Line{Text: line}
	}
	stream, text, _ := strings.Cut(rest, " ")
	if stream != Stdout && stream != Stderr && stream != Note {
		return Line{Text: line}
	}
	return Line{Time: t, Stream: stream, Text: text}
}

// String is the line as it stands in the file, without a newline.
func (l Line) String() string {
	if l.Time.IsZero() {
		return l.Text
	}
	return string(appendLine(nil, l.Time, l.Stream, []byte(l.Text)))
}

func appendLine(to []byte, t time.Time, stream string, text []byte) []byte {
	to = t.UTC().AppendFormat(to, timeLayout)
	to = append(to, ' ')
	to = append(to, stream...)
	to = append(to, ' ')
	return append(to, text...)
}

// checkName allows what can be part of a file name and of a URI, which is what
// Compose allows for a service. By hand: a regexp costs every start of ros more
// than all else that this package does there.
func checkName(service string) error {
	good := len(service) <= 200
	for i, c := range []byte(service) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		good = good && (letter || digit || i > 0 && (c == '.' || c == '_' || c == '-'))
	}
	if !good || service == "" {
		return fmt.Errorf("service name %q must be letters, digits, '.', '_' and '-', beginning with a letter or digit", service)
	}
	return nil
}

// path is the file of a service; generation 0 is the one that is written to.
func path(dir, service string, generation int) string {
	name := service + ".log"
	if generation > 0 {
		name += "." + strconv.Itoa(generation)
	}
	return filepath.Join(dir, name)
}

// WithoutTime is a slog.HandlerOptions.ReplaceAttr for programs of services:
// the log has a time for each line already.
func WithoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
