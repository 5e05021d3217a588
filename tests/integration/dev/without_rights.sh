#!/bin/sh
# What a machine without PostgreSQL says that cannot install it: which packages are missing, and that DATABASE_URL
# would do instead. The packages are hidden by a dpkg-query that knows none, the rights by an apt-get and a sudo
# that refuse.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
dir=$(mktemp -d /tmp/brio-dev.XXXXXX)
trap 'rm -rf "$dir"' EXIT

fail() { echo "without_rights.sh: $1"; cat "$dir/said"; exit 1; }

# fake NAME STATUS: a program that says who refused.
fake() {
    printf '#!/bin/sh\necho "%s: refused" >&2\nexit %s\n' "$1" "$2" >"$dir/bin/$1"
    chmod 755 "$dir/bin/$1"
}

# refuses 'COMMAND' WHO: the command fails, whoever runs it, and names the way out.
refuses() {
    if timeout 60 sh -c "cd '$dir/clone' && $2 PATH='$dir/bin:$PATH' $1" >"$dir/said" 2>&1; then
        fail "it succeeds: $1"
    fi
    grep -q '^dev: cannot install.* postgresql-15.*DATABASE_URL' "$dir/said" || fail "$1: no way out is named"
}

mkdir -p "$dir/bin" "$dir/clone/apps/notes" "$dir/clone/migrations/notes"
cp -r "$root/dev" "$root/tools" "$dir/clone/"
chmod 777 "$dir" "$dir/clone"
fake dpkg-query 1
fake apt-get 100
fake sudo 1

somebody='env -u DATABASE_URL'
# Root would first write down, for good, that Debian is to start no server of its own.
if [ "$(id -u)" != 0 ] || [ -e /etc/postgresql-common/createcluster.conf ]; then
    refuses './dev run' "$somebody"
    refuses './dev pg start' "$somebody"
fi
if [ "$(id -u)" = 0 ]; then
    rm -rf "$dir/clone/build"
    nobody="$somebody setpriv --reuid=nobody --regid=nogroup --clear-groups env"
    refuses './dev run' "$nobody"
    refuses './dev test' "$nobody"
    # A machine that has never seen PostgreSQL.
    if unshare -m true 2>/dev/null; then
        bare="unshare -m sh -c 'mount -t tmpfs none /etc/postgresql-common && exec \"\$@\"' sh"
        refuses './dev run' "$bare $somebody"
        rm -rf "$dir/clone/build"
        refuses './dev run' "$bare $nobody"
    fi
    # Without any sudo at all, unless the machine has one.
    rm "$dir/bin/sudo"
    command -v sudo >/dev/null || refuses './dev run' "$nobody"
fi

# The packages are there, and their files are not.
if unshare -rm true 2>/dev/null; then
    if unshare -rm sh -c "mount -t tmpfs none /usr/lib/postgresql && exec '$root/tools/pg.sh' start '$dir/pg'" \
        >"$dir/said" 2>&1; then
        fail "a server starts without its files"
    fi
    grep -q '^pg.sh: .*postgresql-15.*DATABASE_URL' "$dir/said" || fail "pg.sh start: no way out is named"
fi
