package apply

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mountPoint is one line of /proc/self/mountinfo.
type mountPoint struct {
	target, fstype, source string
}

// mounted are the mounts of the machine, the latest last.
func (h *Host) mounted() ([]mountPoint, error) {
	text, err := os.ReadFile(h.Path("proc/self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of mounts: %w", err)
	}
	var list []mountPoint
	for line := range strings.Lines(string(text)) {
		// proc_pid_mountinfo(5): 36 35 98:0 /root /target options [tags] - type source options
		front, back, ok := strings.Cut(line, " - ")
		before, after := strings.Fields(front), strings.Fields(back)
		if !ok || len(before) < 5 || len(after) < 2 {
			continue
		}
		list = append(list, mountPoint{unescape(before[4]), after[0], unescape(after[1])})
	}
	return list, nil
}

// unescape turns the kernel's \040 and the like back into what they stand for.
func unescape(text string) string {
	var b strings.Builder
	for {
		front, back, found := strings.Cut(text, `\`)
		b.WriteString(front)
		if !found {
			return b.String()
		}
		if len(back) >= 3 {
			if c, err := strconv.ParseUint(back[:3], 8, 8); err == nil {
				b.WriteByte(byte(c))
				text = back[3:]
				continue
			}
		}
		b.WriteByte('\\')
		text = back
	}
}
