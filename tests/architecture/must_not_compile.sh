#!/bin/sh
# must_not_compile.sh BUILD FILE: the file compiles as it stands, and fails with each of its WRONG_… defined,
# on gcc and on clang, without any -Wall. An unread result is only a warning to users of Brio; here it is an error.
set -eu
build=$1 file=$2
bad=0
flags="-std=gnu17 -D_GNU_SOURCE -fsyntax-only -I. -I$build/include -Werror=incompatible-pointer-types \
    -Werror=int-conversion -Werror=implicit-function-declaration -Werror=return-type -Werror=unused-result"
wrongs=$(sed -n 's/^#.*\(WRONG_[A-Z0-9_]*\).*/\1/p' "$file")
[ -n "$wrongs" ] || { echo "$file has no WRONG_…" >&2; exit 1; }
for cc in gcc clang-14; do
    # shellcheck disable=SC2086  # a list of flags
    $cc $flags "$file" || { echo "$cc: the right program does not compile" >&2; bad=1; }
    for wrong in $wrongs; do
        # shellcheck disable=SC2086
        if $cc $flags -D"$wrong" "$file" 2>/dev/null; then
            echo "$cc lets $wrong pass" >&2
            bad=1
        fi
    done
done
exit $bad
