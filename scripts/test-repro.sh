#!/bin/sh
# Builds everything a second time in another folder and compares the bits: the
# layers' digests, the OS image, the initrd, the ISO and the release of it (with
# the OS image as it is: packing takes minutes) must be the same.
# Debian's packages and the programs of other people's modules are taken over;
# our own programs are built again.
set -eu
build=${ROS_BUILD:-build}
arch=${ARCH:-amd64}
version=${VERSION:?}
second=$build/second
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo -E"

$sudo rm -rf "$second"
mkdir -p "$second/$arch/stamps" "$second/$arch/bin"
ln -s ../root "$second/root"
ln -s ../apt "$second/apt"
for p in containerd containerd-shim-runc-v2 dockerd; do
	cp -p "$build/$arch/bin/$p" "$second/$arch/bin/"
	cp -p "$build/$arch/stamps/program $p" "$second/$arch/stamps/"
done
forge="$sudo $build/forge -arch $arch -version $version -keys ${KEYS:-keys}"
$forge -build "$second" build >/dev/null
for folder in "$build" "$second"; do
	$forge -build "$folder" -as-is -arches "$arch" -out "$folder/repro" release >/dev/null
done

same=0 differ=0
for file in "$second/$arch"/images/*.json "$second/$arch"/os.img "$second/$arch"/initrd.img "$second/$arch"/roster.iso "$second/$arch"/bin/* \
	"$second/$arch"/release.json "$second/$arch"/release.sig "$second"/repro/*/oci/index.json "$second"/repro/*/SHA256SUMS; do
	name=${file#"$second/"}
	if cmp -s "$file" "$build/$name"; then
		same=$((same + 1))
	else
		differ=$((differ + 1))
		echo "not the same in two builds: $name"
		case "$file" in */SHA256SUMS) diff "$build/$name" "$file" || true ;; esac
	fi
done
$sudo rm -rf "$second" "$build/repro"
echo "reproducible: $same passed, $differ failed"
[ "$differ" = 0 ] && [ "$same" -gt 0 ]
