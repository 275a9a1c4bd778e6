package bootloader

import (
	"github.com/rosteros/ros/internal/slots"
)

// Tree is what the EFI system partition of a new disk holds beside GRUB's own
// images: one entry, committed in slot s, and the operator's kernel arguments.
// The names are below the root of the partition.
func Tree(s slots.Slot, e Entry, args string) (map[string]File, error) {
	words, err := argWords(args)
	if err != nil {
		return nil, err
	}
	script, err := slotScript(e)
	if err != nil {
		return nil, err
	}
	first := slots.Boot{Committed: s}
	if err := first.Check(); err != nil {
		return nil, err
	}
	tree := map[string]File{
		cfgFile:               Bytes([]byte(grubConfig)),
		envFile:               Bytes(env{boot: first, trialArgs: noFile}.encode()),
		argsFile(0):           Bytes([]byte(argsScript(words, nil))),
		inSlot(s, kernelFile): e.Kernel,
		inSlot(s, initrdFile): e.Initrd,
		inSlot(s, slotFile):   Bytes([]byte(script)),
	}
	for name, text := range map[string][]byte{releaseFile: e.Release, signatureFile: e.Signature} {
		if len(text) > 0 {
			tree[inSlot(s, name)] = Bytes(text)
		}
	}
	return tree, nil
}
