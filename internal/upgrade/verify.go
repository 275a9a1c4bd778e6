package upgrade

import (
	"context"
	"errors"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/signature"
	"github.com/rosteros/ros/internal/slots"
)

// Verify hashes both slots again, every byte, and holds them against their
// manifests and the manifests against the trusted keys. It changes nothing.
func (m *Machine) Verify(ctx context.Context, keys []signature.PublicKey) ([]osupdate.Verified, error) {
	if m.Running.Slot == "" {
		return nil, errors.New("cannot verify the slots: this is the live system, which has none; its image is checked block by block as it is read")
	}
	var all []osupdate.Verified
	for _, s := range slots.All {
		v := m.verify(ctx, s, keys)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func (m *Machine) verify(ctx context.Context, s slots.Slot, keys []signature.PublicKey) osupdate.Verified {
	v := osupdate.Verified{Slot: s}
	fault := func(err error) {
		if err != nil {
			v.Faults = append(v.Faults, err.Error())
		}
	}
	entry, err := m.Loader.ReadSlot(s)
	if errors.Is(err, bootloader.ErrEmpty) {
		v.Empty = true
		return v
	}
	if err != nil {
		fault(err)
		return v
	}
	c, err := release.Read(release.Bundle{Release: entry.Release, Signature: entry.Signature}, keys)
	if err != nil {
		fault(err)
		return v
	}
	v.Release, v.Key = slots.Release{Version: c.Manifest.Version, Digest: c.Digest}, c.Key
	for _, name := range bootFiles {
		fault(checkFile(name, *fileOf(&entry, name), c.Manifest.Parts[name]))
	}
	part, err := m.Open(s, false)
	if err != nil {
		fault(err)
		return v
	}
	defer part.Close()
	fault(m.readBack(ctx, "slot "+string(s), part, c.Manifest.Parts[release.Image]))
	return v
}
