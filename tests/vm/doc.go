// Package vm boots the built system in QEMU and checks it from the inside, over
// ssh, and from the outside, on the serial console.
//
//	go test -tags vm -count 1 -timeout 120m ./tests/vm/...
//	go test -tags vm -count 1 -timeout 60m -run 'TestBoot/amd64/^bios$' -v ./tests/vm
//
// $ROS_BUILD is the build directory, $ROS_ARCH the architectures (default
// "amd64,arm64"; both must be built), $ROS_TEST_ALL=1 adds the slow matrices,
// $ROS_VM_SCALE=2 doubles every timeout. Consoles are kept in <build>/vm.
//
// A boot costs about a minute where there is no KVM, so boots are planned.
// These are all of them (the list itself is scenarios in boot_test.go):
//
//	amd64/bios                  the ISO, from BIOS, no disk: services, cgroups, ssh, docker;
//	                            then, each from a snapshot, the kills and the console restart
//	amd64/state-disk/uefi       the ISO, from UEFI, with a state disk: reboot (a second boot)
//	                            and what it must keep, power button and e2fsck; its disk goes to
//	amd64/state-disk/bad-input  bad service files and a cut-off containerd database on it
//	amd64/config                a cloud-config as people bring it; the keys that take effect at
//	                            once (live/live.yml); a trial, a file that makes no sense (two
//	                            more boots), the boot entry that ignores all of it
//	amd64/config-drive          OpenStack's disk, with a script
//	amd64/small                 512 MB of memory, and a state disk that cannot be mounted: RAM
//	amd64/no-network            no network card: login prompt, docker
//	amd64/flipped               one byte of the OS image is wrong: rescue
//	amd64/required              the state disk is required and cannot be mounted: rescue
//	amd64/trial-fails           a trial whose root hash is wrong: a reboot and a boot note
//	amd64/trial-hangs           a trial that waits for its disk until the deadline: the same
//	amd64/trial-runs            a trial that comes up; then PID 1 is frozen and the watchdog bites,
//	                            and rosd is killed until the trial is given up
//	amd64/rescue                rescue on demand: network, ssh, tools, and no write to the state disk
//	amd64/install               the ISO without a network installs; the disk alone, under BIOS and UEFI
//	amd64/upgrade-bios          installed: to another release and back by hand, and four broken
//	                            releases that must end in the old slot with the reason
//	arm64/uefi                  the ISO, from UEFI: services, ssh, docker, poweroff
//
// and with ROS_TEST_ALL=1
//
//	amd64/enable                a Compose project from an address: enabled, updated, the engine killed; one of
//	                            the system whose files change and vanish; then a second boot from the
//	                            same disk that cannot reach anything
//	amd64/networks              a project of the system's containerd: two networks and a published port, beside
//	                            Docker, through restarts of everything and a boot
//	amd64/engine                another engine and back: by archive, Debian's, a broken one, none; TLS from
//	                            outside; an extra engine; boots with a broken and with another engine
//	amd64/catalog               every service of the catalog (make catalog), from a signed repository on
//	                            the disk of a machine without a network
//	amd64/metal                 FLAVOUR=metal, from UEFI and a USB stick, state disk on NVMe, an e1000e
//	amd64/config-at-boot        the keys for a boot: partitions that grow, NFS, an address and a
//	                            proxy on the command line; power_state (a second boot)
//	amd64/console               logins in a container of an image, there and back, with user containers running;
//	                            rosd killed while it takes a console or a service in
//	amd64/pulled-images         services and preloads from images that are not in the OS image, of both scopes;
//	                            a mirror of Docker Hub, and a registry behind a proxy
//	amd64/grub-bios             the real GRUB on a disk, with small systems that restart: what it
//	                            starts, counts and falls back to, against slots.Boot.Start
//	amd64/upgrade-by-itself     rancher.upgrade.policy auto, and a list with a new release; then the same
//	                            list again, which changes nothing
//	amd64/install-order         an order to install on the seed disk; the disk; the medium again
//	amd64/autoformat            a live system formats the disk that docker-machine made, and not the other
//	amd64/install-buses         FLAVOUR=metal installs on SATA, NVMe and USB; each disk alone, under BIOS
//	                            or UEFI
//	amd64/disk-images           what make disks makes, raw, qcow2 and vmdk: the same disk, and each starts
//	amd64/upgrade-ways          --kexec; a restart in the middle of a trial; an EFI partition that was not
//	                            unmounted; status, verify and rollback in the rescue shell of the boot menu;
//	                            then the disk without the partition of a slot
//	amd64/broken-bios, -uefi    all twelve broken releases
//	amd64/power-cuts            the plug is pulled during upgrades, restarts, commits and config writes,
//	                            each time from a snapshot ($ROS_CUTS); docs/reliability.md has the counts
//	amd64/full-disk             a boot with not a byte left on the state disk: people can log in and make room
//	amd64/power-cut             the plug is pulled while the state disk is written to
//	amd64/reboots               five reboots in a row
//	amd64/grub-uefi             what amd64/grub-bios does, under UEFI; arm64/grub-uefi too
//	amd64/grub-watchdog         a trial that hangs before its first program: GRUB's watchdog
//	arm64/upgrade-uefi          installed: to another release and back by hand
//	arm64/kills                 what amd64/bios does after its snapshot
//	arm64/state-disk, small, no-network, flipped, required
//
// Only the ISO boots and those that test the firmware go through it; the others
// start the same kernel, initrd and ISO directly, which saves the menu.
//
// No test asserts how long something takes: timeouts are there to end a test
// that hangs. After every step the new part of the console, the kernel log and
// the logs of services are searched for crashes (qemu.Faults).
package vm
