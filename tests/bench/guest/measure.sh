#!/bin/sh
# Measures the system it runs in, from the inside. The same file runs in every
# measured system, as root, in the host's PID namespace, as one of the first
# things that are started. It needs a POSIX shell, awk, grep and the docker
# client, and prints one line per finding on the serial port:
#
#     @bench KEY NAME=VALUE... .
#
# bench=first on the kernel command line stops at a working Docker, bench=short
# after the container starts; otherwise everything is measured.
tty=/dev/ttyS0

# A getty that starts on the terminal hangs it up, which would silence a file
# opened earlier. So it is opened for each line.
tell() { echo "@bench $* ." >"$tty"; }
uptime() { read -r now _ </proc/uptime; echo "$now"; }

case " $(cat /proc/cmdline) " in
*' bench=first '*) part=first ;;
*' bench=short '*) part=short ;;
*) part=all ;;
esac
tell begin "uptime=$(uptime)"

# Docker is there when docker info answers. Where systemd holds the socket the
# client itself waits; elsewhere we wait for the socket, cheaply.
until [ -S /run/docker.sock ]; do sleep 0.1; done
until docker info >/dev/null 2>&1; do sleep 0.1; done
tell docker "uptime=$(uptime)"
if [ $part = first ]; then
	sync
	tell end
	exit
fi

# Memory at rest. The proportional set sizes add up to what user space holds;
# two greps read all of them in a second, where a fork for each process would
# take ten under emulation.
memory() {
	awk -v w="$1" '/^(MemTotal|MemAvailable|AnonPages|Slab):/ { sub(":", "", $1); s = s " " $1 "=" $2 }
		END { print w s }' /proc/meminfo | while read -r line; do tell memory "$line"; done
	names=/run/bench.names sizes=/run/bench.sizes own=/run/bench.own
	grep -H . /proc/[0-9]*/comm >$names 2>/dev/null
	grep -H '^Pss:' /proc/[0-9]*/smaps_rollup >$sizes 2>/dev/null
	# What is there only because it is measured: this shell and, where a service
	# is a container, its shim.
	echo "/proc/$$/cmdline" >$own
	grep -l containerd-shim /proc/[0-9]*/comm 2>/dev/null | while read -r comm; do
		case $(tr '\0' ' ' <"${comm%comm}cmdline") in *' -id bench '*) echo "$comm" >>$own ;; esac
	done
	awk -F'[/: \t]+' -v w="$1" '
		FILENAME ~ /own$/ { mine[$3] = 1; next }
		FILENAME ~ /names$/ { line = $0; sub(/^[^:]*:/, "", line); gsub(/ /, "_", line); name[$3] = line; next }
		{ n++; sum += $6; by[name[$3]] += $6; count[name[$3]]++; if ($3 in mine) own += $6 }
		END {
			printf "pss %s kib=%d processes=%d own=%d\n", w, sum, n, own
			for (p in by) printf "process %s name=%s kib=%d count=%d\n", w, p, by[p], count[p]
		}' $own $names $sizes | while read -r line; do tell "$line"; done
	rm -f $names $sizes $own
}
sleep 30
memory idle

# Container starts. The image is a tar of one static program on the second disk.
timed() { # timed LABEL TIMES COMMAND...
	label=$1 times=$2
	shift 2
	while [ "$times" -gt 0 ]; do
		from=$(uptime)
		"$@" >/dev/null 2>&1 || tell failed "what=$label"
		tell timed "label=$label" "from=$from" "to=$(uptime)"
		times=$((times - 1))
	done
}
load() { docker import - bench:latest </dev/vdb; }
timed import 1 load
timed cold 1 docker run --rm bench /bin/true
timed hot 3 docker run --rm bench /bin/true
if [ $part = short ]; then
	sync
	tell end
	exit
fi

timed hot_no_network 3 docker run --rm --network none bench /bin/true
timed client 3 docker version
for _ in 1 2 3 4; do docker run -d --network none bench /bin/sleep 600 >/dev/null 2>&1; done
sleep 5
memory four_containers
docker ps -q | while read -r id; do docker rm -f "$id"; done >/dev/null 2>&1
sync
tell end
