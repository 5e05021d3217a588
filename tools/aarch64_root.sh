#!/bin/sh
# Unpacks Debian's ARM64 libraries that Brio and its tests link into DIR, for the preset aarch64. They are not
# installed: this system's packages and architectures stay as they are.
#   tools/aarch64_root.sh DIR
set -eu
packages='libcmocka0 libcmocka-dev libssl3 libssl-dev libargon2-1 libargon2-dev
    libzstd1 libzstd-dev libbrotli1 libbrotli-dev zlib1g zlib1g-dev'
dir=$1
[ "$(cat "$dir/complete" 2>/dev/null)" != "$packages" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
dir=$(cd "$dir" && pwd)

apt() {
    apt-get -qq -o APT::Architectures=arm64 -o Dir::State::Lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" \
        -o APT::Sandbox::User= "$@"
}
apt update
cd "$dir/apt"
for package in $packages; do apt download "$package:arm64"; done
for archive in *.deb; do dpkg-deb --extract "$archive" "$dir"; done
rm -rf "$dir/apt"
echo "$packages" >"$dir/complete"
