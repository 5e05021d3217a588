#!/bin/sh
# Runs a test with the libpq of the PostgreSQL 18 whose programs BRIO_TEST_PG18 names: with_libpq_18.sh PROGRAM
set -eu
lib="${BRIO_TEST_PG18:-}/../lib"
[ -e "$lib/libpq.so.5" ] || { echo "skipped: BRIO_TEST_PG18 is not set" >&2; exit 77; }
LD_LIBRARY_PATH="$lib" "$@" >"${TMPDIR:-/tmp}/brio-libpq18.$$" 2>&1 && failed=0 || failed=$?
cat "${TMPDIR:-/tmp}/brio-libpq18.$$"
grep -q '^libpq 18' "${TMPDIR:-/tmp}/brio-libpq18.$$" || { echo "it was another libpq" >&2; failed=1; }
rm -f "${TMPDIR:-/tmp}/brio-libpq18.$$"
exit "$failed"
