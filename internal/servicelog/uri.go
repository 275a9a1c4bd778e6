package servicelog

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// URI is the task IO for containerd that makes the shim start
// "initPath log …", which hands the container's stdout and stderr to PID 1.
//
// Everything stands in one query pair because the shim builds the arguments
// by ranging over a map of the pairs: with two pairs their order would be
// random. The scheme binary-v2 makes the start of the container fail when the
// program died before it said that it is ready; with plain binary the
// container would start with nobody at the other end of its pipes.
func URI(initPath, service string, maxBytes int64, files int) string {
	u := url.URL{
		Scheme:   "binary-v2",
		Path:     initPath,
		RawQuery: url.Values{"log": {fmt.Sprintf("%s:%d:%d", service, maxBytes, files)}}.Encode(),
	}
	return u.String()
}

// ParseArgs reads the arguments that follow the program's name when the shim
// starts it for a URI of this package: "log", then "NAME:MAXBYTES:FILES". A
// bare "NAME" takes the default limits.
func ParseArgs(args []string) (service string, l Limits, err error) {
	if len(args) != 2 || args[0] != "log" {
		return "", Limits{}, fmt.Errorf("arguments are %q, want log NAME[:MAXBYTES:FILES]", args)
	}
	parts := strings.Split(args[1], ":")
	if len(parts) != 1 && len(parts) != 3 {
		return "", Limits{}, fmt.Errorf("log argument is %q, want NAME[:MAXBYTES:FILES]", args[1])
	}
	if err := checkName(parts[0]); err != nil {
		return "", Limits{}, err
	}
	if len(parts) == 3 {
		if l.MaxBytes, err = strconv.ParseInt(parts[1], 10, 64); err != nil || l.MaxBytes < 0 {
			return "", Limits{}, fmt.Errorf("log argument is %q: size %q is not a number of bytes", args[1], parts[1])
		}
		if l.Files, err = strconv.Atoi(parts[2]); err != nil || l.Files < 0 {
			return "", Limits{}, fmt.Errorf("log argument is %q: %q is not a number of files", args[1], parts[2])
		}
	}
	return parts[0], l.orDefault(), nil
}
