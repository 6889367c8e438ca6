#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing. `install.sh build` is enough for `make run`; `install.sh test` adds what
# the tests need, and each of bench, plots, profile, coverage, fuzz and tools what the make target of that name does on
# top. Why each package: README.md beside this file.
set -eu
what=${1:-build}
build="gcc libc6-dev make pkg-config liblz4-dev libzstd-dev libssl-dev libuv1-dev libxxhash-dev"
test="python3 python3-redis libjson-c-dev libcmocka-dev libhiredis-dev redis-server redis-tools procps patch"
bench="librocksdb-dev libleveldb-dev"
plots="python3 gnuplot-nox"
profile="valgrind"
coverage="gcovr"
fuzz="clang libclang-rt-dev"
tools="chromium libestr0 libfastjson4 liblognorm5 libivykis0 libnet1 libwrap0 libpcre3 libhiredis0.14"
command -v npm >/dev/null 2>&1 || tools="$tools nodejs npm"
unpacked=
case $what in
build) packages=$build ;;
test) packages="$build $test" ;;
bench) packages="$build $test $bench" ;;
plots) packages=$plots ;;
profile) packages="$build $test $profile" ;;
coverage) packages="$build $test $coverage" ;;
fuzz) packages="$build $test $fuzz" ;;
tools)
    packages="$build $test $tools"
    # Not installed: they are services, and the two of syslog exclude each other.
    unpacked="prometheus-redis-exporter collectd-core rsyslog rsyslog-hiredis syslog-ng-core syslog-ng-mod-redis"
    unpacked_into=${2:-build}/tools/debian
    ;;
*) echo "usage: deps/install.sh [build|test|bench|plots|profile|coverage|fuzz|tools [build folder]]" >&2; exit 2 ;;
esac

# The files of the packages in $unpacked, below a folder of the build.
unpack() {
    [ "$(cat "$unpacked_into/.unpacked" 2>/dev/null)" != "$unpacked" ] || return 0
    rm -rf "$unpacked_into"
    mkdir -p "$unpacked_into/.packages"
    echo "unpacking: $unpacked"
    (cd "$unpacked_into/.packages" && apt-get download -q $unpacked)
    for package in "$unpacked_into"/.packages/*.deb; do
        dpkg-deb -x "$package" "$unpacked_into"
    done
    echo "$unpacked" >"$unpacked_into/.unpacked"
}

if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
    missing=
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        [ -z "$unpacked" ] || unpack
        exit 0
    fi
    echo "installing:$missing"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        echo "Not root and no sudo. Please run as root:" >&2
        echo "    apt-get update && apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    # A server that a package would start on its own is not wanted: the tests start theirs.
    policy=/usr/sbin/policy-rc.d
    if [ -z "$as_root" ] && [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
        trap 'rm -f $policy' EXIT
    fi
    $as_root apt-get update -q
    $as_root apt-get install -q -y --no-install-recommends $missing
    [ -z "$unpacked" ] || unpack
    exit 0
fi

complete=yes
for header in lz4.h uv.h xxhash.h; do
    printf '#include <%s>\n' "$header" | ${CC:-cc} -E - >/dev/null 2>&1 || complete=no
done
[ $complete = no ] || exit 0
echo "Please install the libraries, then run make again:" >&2
if command -v dnf >/dev/null 2>&1; then
    echo "    sudo dnf install gcc make pkgconf lz4-devel libzstd-devel openssl-devel libuv-devel json-c-devel xxhash-devel libcmocka-devel hiredis-devel redis" >&2
elif command -v apk >/dev/null 2>&1; then
    echo "    apk add gcc make musl-dev linux-headers pkgconf lz4-dev zstd-dev openssl-dev libuv-dev json-c-dev xxhash-dev cmocka-dev hiredis-dev redis" >&2
elif command -v brew >/dev/null 2>&1; then
    echo "    brew install lz4 zstd openssl libuv json-c xxhash cmocka hiredis redis" >&2
else
    echo "    liblz4, libuv, libxxhash (with their headers), libzstd and OpenSSL if they are to be had; for the tests json-c, cmocka, hiredis, redis" >&2
fi
exit 1
