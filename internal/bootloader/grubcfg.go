package bootloader

import _ "embed"

// grubConfig is grub.cfg of every disk. It is written once, when the disk is
// made: an upgrade never touches it, so a mistake in a new one cannot keep a
// machine from going back.
//
//go:embed grub.cfg
var grubConfig string
