#!/bin/sh
# What ./dev check runs: everything that reads the sources without running them. Stops at the first kind of finding.
# shellcheck disable=SC2046  # lists of files are words on purpose
set -eu
cd "$(dirname "$0")/../.."
here=tests/architecture

# Files that git knows or would take: a new one is checked before it is committed.
sources() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ ! -f "$f" ] || echo "$f"; done; }

# For another CPU than this one: built and tested by the preset aarch64.
foreign='aarch64|neon'

echo "== clang-format"
clang-format-14 --dry-run -Werror $(sources '*.c' '*.h')

echo "== shellcheck"
shellcheck $(sources dev .ci/run '*.sh')

echo "== architecture"
$here/includes.sh
$here/calls.sh
$here/documented.sh

echo "== clang-tidy"
mkdir -p build
cmake --preset check >build/check.log 2>&1 || { cat build/check.log >&2; exit 1; }
sources '*.c' | grep -vE "^tests/|$foreign" | xargs -P"$(nproc)" -n1 $here/tidy.sh

echo "== cppcheck"
cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --suppressions-list=$here/cppcheck.txt \
    --enable=warning,performance,portability -j"$(nproc)" -I. -Ibuild/check/include '-D__has_include(x)=0' -D_GNU_SOURCE -D__cppcheck__ \
    $(sources '*.c' | grep -vE "^tests/|$foreign")
echo "check passed"
