package verity

import "os"

// WithIoctl is h with another device mapper behind it.
func (h Host) WithIoctl(do func(control *os.File, command uint, message []byte) error) Host {
	h.ioctl = do
	return h
}
