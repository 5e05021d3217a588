#!/bin/sh
# A PgBouncer for tests that knows prepared statements, where Debian 12 has 1.18, which does not: Debian 13's, fetched
# once into DIR from the mirror that this system's apt uses, and with it the libraries that it runs on. Prints the path
# of the program. Nothing is installed. Fails with a word on standard error where it cannot be had.
#
#   tools/pgbouncer.sh DIR
#
# DIR must be within reach of the user that servers run as (tools/pg.sh), and the caller's own.
set -eu
umask 022

release=trixie
packages='pgbouncer libc6 libaudit1 libcap2 libcap-ng0 libcares2 libevent-2.1-7t64 libpam0g libssl3t64 libsystemd0
    libzstd1 zlib1g'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() { echo "pgbouncer.sh: $*" >&2; exit 1; }

apt() {
    timeout 120 apt-get -q -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=1 \
        -o Dir::Etc::SourceList="$new/apt/list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$new/apt/lists" -o Dir::Cache="$new/apt/cache" "$@"
}

# Where the system's own packages come from; its updates come from elsewhere.
mirror() {
    # shellcheck disable=SC1091  # the system's
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016  # apt's words, not the shell's
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' |
        awk -v of="$codename main" '$1 " " $2 == of { print $3; exit }'
}

# Fetched and unpacked into $new. Its program is run by its own libc, which is newer than the system's.
fetch() {
    mkdir -p "$new/apt/lists/partial" "$new/apt/cache/archives/partial"
    echo "deb [signed-by=$keyring] $from $release main" >"$new/apt/list"
    apt update && cd "$new/apt" || return 1
    # shellcheck disable=SC2086  # a list of packages
    apt download $packages || return 1
    for archive in *.deb; do dpkg-deb --extract "$archive" "$new" || return 1; done
    cd /
    rm -rf "$new/apt"
    for loader in "$new"/usr/lib/*-linux-gnu/ld-linux-*.so.*; do
        libraries=${loader%/*}
        loader=${loader##*/}
        libraries=${libraries##*/}
    done
    cat >"$new/pgbouncer" <<WRAPPER
#!/bin/sh
root=\${0%/*}
lib=\$root/usr/lib/$libraries
exec "\$lib/$loader" --library-path "\$lib" "\$root/usr/sbin/pgbouncer" "\$@"
WRAPPER
    chmod +x "$new/pgbouncer"
    "$new/pgbouncer" --version
}

[ $# = 1 ] || die "usage: tools/pgbouncer.sh DIR"
mkdir -p "$1"
[ -O "$1" ] || die "$1 belongs to somebody else"
dir=$(cd "$1" && pwd -P)
if [ ! -x "$dir/$release/pgbouncer" ]; then
    command -v apt-get >/dev/null || die "there is no apt here"
    from=$(mirror 2>"$dir/log")
    [ -n "$from" ] || die "this system's apt has no mirror of Debian's"
    new=$(mktemp -d "$dir/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    (fetch) >"$dir/log" 2>&1 || die "it cannot be fetched: see $dir/log"
    chmod 755 "$new"
    mv -T "$new" "$dir/$release" 2>/dev/null || [ -x "$dir/$release/pgbouncer" ] || die "$dir/$release is in the way"
fi
echo "$dir/$release/pgbouncer"
