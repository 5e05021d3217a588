#!/bin/sh
# headers.sh BUILD: every public header compiles alone, without a warning, on gcc and on clang, and twice
# over. None includes another project's header: those stay in the src/ files that wrap them.
set -eu
build=$1
bad=0
for header in core/*.h http/*.h pg/*.h orm/*.h auth/*.h; do
    [ -f "$header" ] || continue
    for cc in gcc clang-14; do
        printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
            $cc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wno-missing-field-initializers -Werror -fsyntax-only \
                -I. -I"$build/include" -x c - || { echo "$cc: $header does not compile alone" >&2; bad=1; }
    done
done
# What a public header may include of the system: the C library and the kernel's interface.
found=$(grep -nE '^#[[:space:]]*include <' core/*.h http/*.h pg/*.h orm/*.h auth/*.h 2>/dev/null |
    grep -vE '<(assert|errno|inttypes|limits|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|time|uchar)\.h>|<sys/(types|uio|socket)\.h>' |
    grep -vE '<brio/' || true)
if [ -n "$found" ]; then
    echo "public headers include only the C library and Brio:" >&2
    echo "$found" >&2
    bad=1
fi
exit $bad
