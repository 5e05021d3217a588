#!/bin/sh
# AddressSanitizer sees fibers: a mistake on a fiber's stack is reported by its right name and with every
# frame down to the fiber's entry, and a program without mistakes has nothing reported.
#   asan.sh MISUSE
set -eu
misuse=$1
export ASAN_OPTIONS=detect_stack_use_after_return=1:detect_leaks=1:symbolize=1

fail() { echo "asan.sh: $1"; echo "$report"; exit 1; }

# mistake CASE PATTERN...: each pattern, a basic regular expression, is in a line of the report, in this order.
mistake() {
    name=$1; shift
    if report=$("$misuse" "$name" 2>&1); then fail "$name: not found out"; fi
    rest=$report
    for pattern in "$@"; do
        rest=$(echo "$rest" | sed -n "/$pattern/,\$p" | sed 1d)
        [ -n "$rest" ] || fail "$name: no line with \"$pattern\" where it was looked for"
    done
}

report=$("$misuse" none 2>&1) || fail "none: failed"
[ -z "$report" ] || fail "none: reported something"

mistake overflow 'AddressSanitizer: stack-buffer-overflow' 'in write_past' 'in overflow_here' 'in culprit' \
    'in fiber_main' 'is located in stack of' "'local'.* <== Memory access at offset 48 overflows"
mistake return 'AddressSanitizer: stack-use-after-return' 'in read_returned' 'in culprit' 'in fiber_main' \
    'is located in stack of' "'local'.* <== Memory access"
mistake free 'AddressSanitizer: heap-use-after-free' 'in write_freed' 'in culprit' 'in fiber_main' \
    'freed by' 'in free_here' 'in frees' 'in fiber_main' 'allocated by' 'in allocate_here' 'in allocates' \
    'in fiber_main'
