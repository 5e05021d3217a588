#!/bin/sh
# Runs test programs on a Linux that has kernel TLS, which the machine's own may not have: in a virtual machine
# (qemu, without KVM) with Debian's kernel, which apt fetches once. Everything is in memory, and there is no network
# but the loopback. Prints what the programs print; fails if one of them does. 77, with a word on standard error:
# there can be no such machine here.
#
#   tools/tls_kernel.sh PROGRAM…
set -eu
umask 022

cache=/var/tmp/brio-tls-kernel-$(id -u)
work=$(mktemp -d /tmp/brio-tls-kernel.XXXXXX)
trap 'rm -rf "$work"' EXIT

cannot() { echo "tls_kernel.sh: $*" >&2; exit 77; }

[ $# -gt 0 ] || { echo "usage: tools/tls_kernel.sh PROGRAM..." >&2; exit 2; }
[ "$(uname -sm)" = 'Linux x86_64' ] || cannot "it is for x86-64"
for tool in qemu-system-x86_64 busybox cpio dpkg-deb openssl; do
    command -v "$tool" >/dev/null || cannot "$tool is not installed"
done

# The kernel's package, taken apart; the programs need a few of its modules only.
fetch() {
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p')
    [ -n "$package" ] || cannot "apt knows no kernel"
    mkdir -p "$cache/new"
    (cd "$cache/new" && timeout 120 apt-get -qq download "$package" 2>"$cache/log") || cannot "no kernel: see $cache/log"
    dpkg-deb -x "$cache/new/"*.deb "$cache/new/root"
    cp "$cache/new/root/boot/vmlinuz-"* "$cache/vmlinuz"
    number=0
    for module in crypto/gf128mul crypto/ghash-generic crypto/ctr crypto/gcm net/tls/tls; do
        number=$((number + 1))
        cp "$cache/new/root/lib/modules/"*"/kernel/$module.ko" "$cache/$number.ko"
    done
    rm -rf "$cache/new"
    : >"$cache/ready"
}

mkdir -p "$cache"
[ -O "$cache" ] || cannot "$cache belongs to somebody else"
[ -e "$cache/ready" ] || fetch

root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/tmp" "$root/usr/lib/ssl"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$cache/"*.ko "$root"
cp -L /usr/lib/ssl/openssl.cnf "$root/usr/lib/ssl"
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
busybox() { /bin/busybox "$@"; }
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
busybox ip link set lo up
for module in /*.ko; do busybox insmod "$module"; done
busybox grep -qw tls /proc/sys/net/ipv4/tcp_available_ulp && . /programs
busybox poweroff -f
INIT
chmod +x "$root/init"
for program in "$@" "$(command -v openssl)"; do
    cp "$program" "$root/bin"
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -Ln "$library" "$root$library"
    done
done
for program in "$@"; do
    name=$(basename "$program")
    echo "PATH=/bin $name; echo \"$name: status \$?.\"" >>"$root/programs"
done
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

timeout 540 qemu-system-x86_64 -accel tcg -cpu max -m 2048 -smp 2 -nographic -no-reboot -net none \
    -kernel "$cache/vmlinuz" -initrd "$work/initrd" -append 'console=ttyS0 quiet panic=-1' </dev/null |
    tr -d '\r' >"$work/said" || true
cat "$work/said"
for program in "$@"; do
    grep -q "^$(basename "$program"): status 0\.$" "$work/said" || { echo "failed: $program" >&2; exit 1; }
done
