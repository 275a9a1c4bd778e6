#!/usr/bin/env bash
# Starts a virtual machine. The one place that knows QEMU's command line; make
# run, the VM tests and the benchmark all come through here.
#
#     scripts/qemu.sh [OPTION...] [-- QEMU-ARGUMENT...]
#
#     --arch ARCH           amd64 (default) or arm64
#     --firmware WHICH      bios or uefi; without it the architecture's usual one
#     --iso FILE            a CD; the firmware boots it, unless --kernel is given
#     --disk FILE           a qcow2 disk, writable; may be repeated: /dev/vda, /dev/vdb, ...
#     --bus BUS             what the disks behind this option are on: virtio (default), nvme,
#                           usb, or on amd64 sata
#     --raw FILE            a raw disk, read-only, numbered among the others
#     --kernel FILE --initrd FILE --append TEXT     start this kernel, no firmware menu
#     --metal               the hardware of a real machine instead of virtio: --disk is
#                           on NVMe, --iso and --raw are USB sticks, the network is an e1000e
#     --memory MIB          default 2048
#     --cpus N              default 2
#     --ssh-port PORT       forward 127.0.0.1:PORT to the machine's port 22
#     --restrict            the network has DHCP and the forwarded port, nothing beyond
#     --no-network          no network card at all
#     --dir DIR             where the machine's own files go (UEFI variables);
#                           default $ROS_BUILD/run/ARCH
#     --print               print the command instead of running it
#
# What stands after -- goes to QEMU as it is. Without it the serial port and the
# monitor are on this terminal (leave with Ctrl-a x). ROS_BUILD is the build
# directory (default: build); ROS_ACCEL overrides scripts/accel.sh.
#
# Block nodes have names (disk0, disk1, ..., cd), so that a snapshot can say
# which of them it covers.
set -euo pipefail

build=${ROS_BUILD:-build}
here=$(dirname "$0")
die() { echo "qemu.sh: $*" >&2; exit 2; }

arch=amd64 firmware='' iso='' kernel='' initrd='' append='' memory=2048 cpus=2
port='' restrict=off network=yes dir='' print=no metal=no
bus='' disks=() formats=() buses=() rest=(-serial mon:stdio)
while [ $# -gt 0 ]; do
	case $1 in
	--restrict) restrict=on; shift; continue ;;
	--no-network) network=no; shift; continue ;;
	--print) print=yes; shift; continue ;;
	--metal) metal=yes; shift; continue ;;
	--) shift; rest=("$@"); break ;;
	esac
	[ $# -ge 2 ] || die "$1 needs a value"
	case $1 in
	--arch) arch=$2 ;;
	--firmware) firmware=$2 ;;
	--iso) iso=$2 ;;
	--disk) disks+=("$2") formats+=(qcow2) buses+=("$bus") ;;
	--raw) disks+=("$2") formats+=(raw) buses+=('') ;;
	--bus) bus=$2 ;;
	--kernel) kernel=$2 ;;
	--initrd) initrd=$2 ;;
	--append) append=$2 ;;
	--memory) memory=$2 ;;
	--cpus) cpus=$2 ;;
	--ssh-port) port=$2 ;;
	--dir) dir=$2 ;;
	*) die "unknown option $1" ;;
	esac
	shift 2
done
share=$build/root/usr/share
dir=${dir:-$build/run/$arch}

# The firmware tries the CD first. With -kernel QEMU itself is first.
first=,bootindex=0
[ -z "$kernel" ] || first=''

# What differs between the architectures. The virt machine has no SATA.
case $arch in
amd64)
	program=qemu-system-x86_64 machine=q35 emulated=max usual=bios
	cd=(-device "ide-cd,bus=ide.0,drive=cd$first")
	code=$share/OVMF/OVMF_CODE_4M.fd vars=$share/OVMF/OVMF_VARS_4M.fd
	screen=(-vga std)
	;;
arm64)
	program=qemu-system-aarch64 machine=virt emulated=cortex-a72 usual=uefi
	cd=(-device "virtio-scsi-pci,id=scsi" -device "scsi-cd,bus=scsi.0,drive=cd$first")
	code=$share/AAVMF/AAVMF_CODE.no-secboot.fd vars=$share/AAVMF/AAVMF_VARS.fd
	screen=()
	;;
*) die "unknown architecture $arch: amd64 or arm64" ;;
esac

accel=${ROS_ACCEL:-$("$here/accel.sh" "$arch")}
case $accel in
kvm) cpu=host ;;
tcg) cpu=$emulated ;;
*) die "unknown accelerator $accel: kvm or tcg" ;;
esac

args=(-accel "$accel" -cpu "$cpu" -smp "$cpus" -m "$memory"
	-nodefaults -display none -rtc base=utc
	-L "$share/qemu" -L "$share/seabios")

# Real machines have no virtio at all, so no source of randomness from it either.
if [ "$metal" = yes ] || [[ " ${buses[*]} " = *" usb "* ]]; then
	args+=(-device "qemu-xhci,id=usb")
fi
if [ "$metal" = yes ]; then
	cd=(-device "usb-storage,bus=usb.0,drive=cd$first")
	card=e1000e
else
	args+=(-device virtio-rng-pci)
	card=virtio-net-pci
fi

# With -kernel QEMU is its own boot loader; a firmware of choice is needed only
# when it must find the CD.
if [ -n "$kernel" ]; then
	[ -z "$firmware" ] || die "--firmware and --kernel exclude each other"
	args+=(-machine "$machine" -kernel "$kernel" -append "$append")
	[ -z "$initrd" ] || args+=(-initrd "$initrd")
else
	args+=("${screen[@]}")
	firmware=${firmware:-$usual}
	case $firmware in
	bios)
		[ "$usual" = bios ] || die "$arch has no BIOS"
		args+=(-machine "$machine")
		;;
	uefi)
		# Variables belong to one machine; qcow2, so that snapshots can hold them.
		mkdir -p "$dir"
		[ -s "$dir/uefi-vars.qcow2" ] ||
			"$here/tool.sh" qemu-img convert -q -O qcow2 "$vars" "$dir/uefi-vars.qcow2"
		args+=(-machine "$machine,pflash0=code,pflash1=vars"
			-blockdev "driver=raw,node-name=code,read-only=on,file.driver=file,file.filename=$code"
			-blockdev "driver=qcow2,node-name=vars,file.driver=file,file.filename=$dir/uefi-vars.qcow2")
		;;
	*) die "unknown firmware $firmware: bios or uefi" ;;
	esac
fi

if [ -n "$iso" ]; then
	args+=(-blockdev "driver=raw,node-name=cd,read-only=on,file.driver=file,file.filename=$iso" "${cd[@]}")
fi
for i in "${!disks[@]}"; do
	node="node-name=disk$i,file.driver=file,file.filename=${disks[i]}"
	case ${formats[i]} in
	# no-flush: a guest's sync costs nothing. The host is not going to lose power
	# in a way that these disks must survive.
	qcow2) args+=(-blockdev "driver=qcow2,cache.no-flush=on,discard=unmap,$node") ;;
	raw) args+=(-blockdev "driver=raw,read-only=on,$node") ;;
	esac
	# UEFI keeps what it started last; without a place in the order a disk that was
	# empty then is not started when the CD is gone.
	next=",bootindex=$((i + 1))"
	own=virtio
	case $metal:${formats[i]} in
	yes:qcow2) own=nvme ;;
	yes:raw) own=usb ;;
	esac
	[ "${formats[i]}" = qcow2 ] || next=''
	case ${buses[i]:-$own} in
	virtio) args+=(-device "virtio-blk-pci,drive=disk$i$next") ;;
	sata) args+=(-device "ide-hd,bus=ide.$((i + 1)),drive=disk$i$next") ;;
	nvme) args+=(-device "nvme,drive=disk$i,serial=disk$i$next") ;;
	usb) args+=(-device "usb-storage,bus=usb.0,drive=disk$i$next") ;;
	*) die "unknown bus ${buses[i]}: virtio, sata, nvme or usb" ;;
	esac
done

if [ "$network" = yes ]; then
	forward=''
	[ -z "$port" ] || forward=",hostfwd=tcp:127.0.0.1:$port-:22"
	# romfile=: nothing here boots from the network, and the option ROM takes time.
	args+=(-netdev "user,id=net0,restrict=$restrict$forward" -device "$card,netdev=net0,romfile=")
fi

if [ "$print" = yes ]; then
	printf '%q ' "$here/tool.sh" "$program" "${args[@]}" "${rest[@]}"
	echo
	exit
fi
exec "$here/tool.sh" "$program" "${args[@]}" "${rest[@]}"
