package install

import (
	"bytes"
	"context"
)

// markFile is on the EFI system partition of a disk that an order has installed.
const markFile = "roster/order"

// Mark is the Mark of the Job that has made the disk, "" if there was none.
func (m Machine) Mark(ctx context.Context, t Target, run Runner) string {
	l, err := m.layout(t)
	if err != nil {
		return ""
	}
	var mark bytes.Buffer
	if run(ctx, nil, &mark, "mcopy", "-i", fatImage(t.Path, l.Part(ESP)), "::/"+markFile, "-") != nil {
		return ""
	}
	return mark.String()
}
