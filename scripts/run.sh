#!/usr/bin/env bash
# Boots the built ISO on this terminal; `make run` calls it.
#
#     scripts/run.sh OUT        OUT: the folder of the build, for example build/amd64
#
# The machine gets a seed disk (NoCloud: label cidata) with an ssh key made for
# this tree, and no other disk: it runs in RAM. DISK=FILE attaches a qcow2 disk,
# which is made (8 GiB, empty) if it is not there; BOOT=disk starts from that
# disk, without the ISO.
set -euo pipefail
out=$1
build=${ROS_BUILD:-build}
here=$(dirname "$0")
run=$build/run/$ARCH
mkdir -p "$run"
run=$(cd "$run" && pwd) # the ssh command below works from every folder

key=$run/id_ed25519
[ -f "$key" ] || ssh-keygen -q -t ed25519 -N '' -C roster-run -f "$key"

seed=$(mktemp -d)
trap 'rm -rf "$seed"' EXIT
printf '#cloud-config\nssh_authorized_keys:\n  - %s\n' "$(cat "$key.pub")" >"$seed/user-data"
printf 'instance-id: roster-run\n' >"$seed/meta-data"
said=$("$here/tool.sh" xorriso -as mkisofs -quiet -V cidata -J -r -o "$run/seed.iso" "$seed" 2>&1) ||
	{ echo "$said" >&2; exit 1; }

port=${SSH_PORT:-2222}
while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

# The disk comes first, so that it is /dev/vda.
options=(--arch "$ARCH" --ssh-port "$port" --dir "$run")
if [ -n "${DISK:-}" ]; then
	[ -e "$DISK" ] || "$here/tool.sh" qemu-img create -q -f qcow2 "$DISK" 8G
	options+=(--disk "$DISK")
fi
options+=(--raw "$run/seed.iso")
[ "${BOOT:-}" = disk ] || options+=(--iso "$out/roster.iso")
[ -z "${FIRMWARE:-}" ] || options+=(--firmware "$FIRMWARE")
[ -z "${MEMORY:-}" ] || options+=(--memory "$MEMORY")

cat <<TEXT

  ssh in from another terminal:  ssh -p $port -i $key -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no rancher@127.0.0.1
  leave:                         sudo poweroff in the machine, or Ctrl-a x here

TEXT
"$here/qemu.sh" "${options[@]}"
