package install

import (
	"fmt"

	"github.com/rosteros/ros/internal/blockdev"
)

// Found says in lines what is on the disk; none if there is nothing.
func (t Target) Found() []string {
	if t.Empty {
		return nil
	}
	if t.IsRoster() {
		return append([]string{"Roster, with its state disk"}, t.partitionLines()...)
	}
	return append([]string{contentText(t.Content)}, t.partitionLines()...)
}

func (t Target) partitionLines() []string {
	var lines []string
	for _, p := range t.Partitions {
		what := contentText(p.Content)
		if p.PartLabel != "" {
			what = fmt.Sprintf("%s, %s", p.PartLabel, what)
		}
		lines = append(lines, fmt.Sprintf("%s: %s, %s", p.Path, bytesText(p.Size), what))
	}
	return lines
}

func contentText(c blockdev.Content) string {
	switch {
	case c.Type == "":
		return "nothing that is known"
	case c.Type == "gpt", c.Type == "dos":
		return "a partition table (" + c.Type + ")"
	case c.Label != "":
		return fmt.Sprintf("%s %q", c.Type, c.Label)
	}
	return c.Type
}

// IsRoster says whether the disk has the partitions that Write makes.
func (t Target) IsRoster() bool {
	_, err := t.renewable()
	return err == nil
}

// part is a partition of the disk by the name that it has in the table.
func (t Target) part(number int) (Part, bool) {
	for _, p := range t.Partitions {
		if p.Partition == number && p.PartLabel == partitions[number].label {
			return p, true
		}
	}
	return Part{}, false
}

// renewable are the partitions of a disk that Write has made, by number.
func (t Target) renewable() ([State + 1]Part, error) {
	var parts [State + 1]Part
	for n := BIOS; n <= State; n++ {
		p, ok := t.part(n)
		if !ok {
			return parts, fmt.Errorf("it has no partition %d called %s, as a disk of Roster has; noformat keeps those, generic makes them", n, partitions[n].label)
		}
		parts[n] = p
	}
	return parts, nil
}
