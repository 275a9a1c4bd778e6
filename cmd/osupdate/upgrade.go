package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/signature"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/upgrade"
)

// runUpgrade is "ros os upgrade", and what the policy does.
func runUpgrade(ctx context.Context, c call) (any, error) {
	var o osupdate.Upgrade
	if err := c.decode(&o); err != nil {
		return nil, err
	}
	m, done, err := openUpgrade(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("cannot upgrade: %w", err)
	}
	defer done()
	cfg, err := readConfig()
	if err != nil {
		return nil, err
	}
	r, err := openRelease(ctx, c, cfg, m.Version, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	u := upgrading{
		Machine: m, release: r, options: o, insist: upgrade.Options{BelowFloor: o.BelowFloor, Retry: o.Retry},
		load: kexecFileLoad, sys: "/sys",
	}
	return u.run(ctx)
}

// openRelease finds the release that is meant and checks its signature.
func openRelease(ctx context.Context, c call, cfg *config.Config, running string, o osupdate.Upgrade) (*release.Release, error) {
	options := releaseOptions(cfg, trustedKeys(c, cfg), o.Unsigned)
	ref, err := upgrade.Resolve(o.Release, cfg.Rancher.Upgrade.Image, func() (string, []string, error) {
		list, err := readList(ctx, cfg, running)
		return list.Current, list.Available, err
	})
	if err != nil {
		return nil, err
	}
	r, err := release.Open(ctx, ref, options)
	return r, notOpened(err, len(options.Keys) > 0)
}

// notOpened adds to why a release is not taken what the operator can do.
func notOpened(err error, keys bool) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the state disk is full: %w", err)
	case errors.Is(err, signature.ErrUnsigned) && !keys:
		return fmt.Errorf("%w; this OS image was built without a key, and rancher.upgrade.trusted_keys has none (--take-what-nobody-signed takes it all the same)", err)
	case errors.Is(err, signature.ErrUnsigned):
		return fmt.Errorf("%w (--take-what-nobody-signed takes it all the same)", err)
	case errors.Is(err, signature.ErrUnknownKey):
		return fmt.Errorf("%w (rancher.upgrade.trusted_keys; --take-what-nobody-signed takes it all the same)", err)
	}
	return err
}

// upgrading is one run of the verb.
type upgrading struct {
	*upgrade.Machine
	release *release.Release
	options osupdate.Upgrade
	insist  upgrade.Options
	load    func(kernel, initrd *os.File, line string) error // for a jump: kexec_file_load(2)
	sys     string                                           // where sysfs is
}

// errOther is of a release that is not the one whose digest was named: the list
// has changed since.
var errOther = errors.New("another release is meant")

func (u upgrading) run(ctx context.Context) (osupdate.Upgraded, error) {
	if u.options.Digest != "" && u.options.Digest != u.release.Digest {
		return u.idle(osupdate.Upgraded{}, fmt.Errorf("cannot upgrade to %s: %w", u.release.Manifest.Version, errOther))
	}
	if u.options.Check {
		return u.idle(u.Check(u.release.Checked, u.insist))
	}
	res, err := u.Stage(ctx, u.release, u.insist)
	if err != nil || u.options.Stage {
		return u.idle(res, err)
	}
	return u.arm(res)
}

// arm puts what is staged on trial, and --append's arguments with it: they are
// no other release's before this one is committed.
func (u upgrading) arm(res osupdate.Upgraded) (osupdate.Upgraded, error) {
	words := u.options.Append
	if boot, err := u.Loader.Boot(); err == nil && u.options.Automatic && boot.Trial == res.Slot {
		words = boot.Args // an operator has armed the same release: it is started as he wants it
	}
	res, err := u.Arm(res, words)
	if err != nil || !u.options.Kexec {
		return res, err
	}
	return u.loadKernel(res)
}

// idle makes "there is nothing to do" a result where that is no mistake: for
// the policy, and for who only asks.
func (u upgrading) idle(res osupdate.Upgraded, err error) (osupdate.Upgraded, error) {
	quiet := u.options.Automatic || u.options.Check
	nothing := errors.Is(err, upgrade.ErrRunning) || u.options.Automatic && (errors.Is(err, upgrade.ErrFailed) || errors.Is(err, errOther))
	if !quiet || !nothing {
		return res, err
	}
	reason := errors.Unwrap(err)
	return osupdate.Upgraded{
		Release: slots.Release{Version: u.release.Manifest.Version, Digest: u.release.Digest}, Nothing: reason.Error(),
	}, nil
}

// runVerify is "ros os verify".
func runVerify(ctx context.Context, c call) (any, error) {
	m, done, err := openUpgrade(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("cannot verify the slots: %w", err)
	}
	defer done()
	cfg, err := readConfig()
	if err != nil {
		return nil, err
	}
	return m.Verify(ctx, trustedKeys(c, cfg))
}

// readList reads the list of releases; without an address it is empty.
func readList(ctx context.Context, cfg *config.Config, running string) (release.List, error) {
	if cfg.Rancher.Upgrade.URL == "" {
		return release.List{}, nil
	}
	return release.ReadList(ctx, cfg.Rancher.Upgrade.URL, running, way(cfg).Client())
}

// runList is "ros os list".
func runList(ctx context.Context, _ call) (any, error) {
	cfg, err := readConfig()
	if err != nil {
		return nil, err
	}
	about, err := release.ReadRunning(release.RunningFile)
	if err != nil {
		return nil, err
	}
	if cfg.Rancher.Upgrade.URL == "" {
		return nil, errors.New("cannot list the releases: rancher.upgrade.url is not set")
	}
	list, err := readList(ctx, cfg, about.Version)
	if err != nil {
		return nil, err
	}
	all := []osupdate.Listed{}
	if !slices.Contains(list.Available, list.Current) {
		list.Available = append([]string{list.Current}, list.Available...)
	}
	for _, ref := range list.Available {
		version := upgrade.VersionOf(ref)
		all = append(all, osupdate.Listed{Version: version, Release: ref, Current: ref == list.Current, Running: version == about.Version})
	}
	return all, nil
}
