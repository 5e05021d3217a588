#!/bin/sh
# clang-tidy on one file of the preset `check`. A file that passed is not read again until it, a header
# it includes, or the rules change.
set -eu
file=$1
passed=build/check/tidy
mkdir -p $passed
include="-I. -Ibuild/check/include -I$(dirname "$file")"
# shellcheck disable=SC2086  # a list of flags
key=$({ cat .clang-tidy; echo "$file"; clang-14 -E -D_GNU_SOURCE $include "$file" 2>&1; } | sha256sum | cut -c1-32)
[ ! -e "$passed/$key" ] || exit 0
if out=$(clang-tidy-14 -p build/check --quiet --warnings-as-errors='*' "$file" 2>&1); then
    : >"$passed/$key"
else
    printf '%s\n' "$out" | grep -vE '^[0-9]+ warnings? (and [0-9]+ errors? )?generated|^Suppressed|^Use -header-filter' >&2
    exit 1
fi
