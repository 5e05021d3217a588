#!/bin/sh
# A PostgreSQL with pgvector for tests, which Debian has not: PGlite, the server as WebAssembly, fetched once by npm
# into DIR; prints the path of a program for node that runs it on a port of its own (tests/support/pgvector_server.mjs).
# No script of the packages is run. Fails with a word on standard error where it cannot be had.
#
#   tools/pgvector.sh DIR
set -eu
umask 022

packages='@electric-sql/pglite@0.5.14 @electric-sql/pglite-pgvector@0.0.15 @electric-sql/pglite-socket@0.2.17'

die() { echo "pgvector.sh: $*" >&2; exit 1; }

[ $# = 1 ] || die "usage: tools/pgvector.sh DIR"
mkdir -p "$1"
[ -O "$1" ] || die "$1 belongs to somebody else"
if [ ! -e "$1/ready" ]; then
    command -v node >/dev/null || die "node is not installed"
    command -v npm >/dev/null || die "npm is not installed"
    # shellcheck disable=SC2086  # a list of packages
    timeout 120 npm install --ignore-scripts --no-audit --no-fund --no-save --loglevel=error --prefix "$1" \
        $packages >"$1/log" 2>&1 || die "it cannot be fetched: see $1/log"
    : >"$1/ready"
fi
cp "$(dirname "$0")/../tests/support/pgvector_server.mjs" "$1/server.mjs"
echo "$1/server.mjs"
