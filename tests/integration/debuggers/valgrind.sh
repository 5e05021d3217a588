#!/bin/sh
# valgrind sees fibers: a program that switches stacks, reuses them and frees everything has no error and no
# leak, and nothing is said about a switch.
#   valgrind.sh PARKED
set -eu
command -v valgrind >/dev/null || { echo "valgrind is not installed"; exit 77; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
if ! valgrind --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all --error-exitcode=9 \
    --log-file="$out" "$1" || ! grep -q 'ERROR SUMMARY: 0 errors' "$out" ||
    ! grep -q 'All heap blocks were freed' "$out" || grep -q 'Warning' "$out"; then
    cat "$out"
    exit 1
fi
