#!/bin/sh
# manual.sh BUILD PAGE CC [FLAG...]: what a page of the manual shows is true. Every ```c block with an `int main` is
# a program: it compiles as it stands, with gcc and with clang, without a warning. One that an ```output block follows
# is also linked (by CC with FLAGs) and run, and must print just that. Blocks without a main are not compiled.
# A library's page must have a program. Programs of pages about the database need DATABASE_URL to run. Links to other
# files lead to one.
set -eu
build=$1 page=$2 cc=$3
shift 3
name=${page##*/}
name=${name%.md}
out=$build/manual/$name
rm -rf "$out"
mkdir -p "$out"

# Programs as 1.c, 2.c …, what they print as 1.output …
awk -v out="$out" '
    /^```/ && inside { inside = 0; if (block ~ /int main\(/) { file = ++count; printf "%s", block > (out "/" file ".c") }
                       else file = 0
                       next }
    inside           { block = block $0 "\n"; next }
    /^```$/ && prints { prints = 0; next }
    prints           { print > (out "/" file ".output"); next }
    /^```c$/         { inside = 1; block = ""; next }
    /^```output$/    { if (!file) { print FILENAME ": output of no program" > "/dev/stderr"; exit 1 }
                       prints = 1; printf "" > (out "/" file ".output") }
' "$page"

warnings='-Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
    -Wformat=2 -Wwrite-strings -Wcast-qual -Wpointer-arith -Wswitch-enum -Wdouble-promotion -Wimplicit-fallthrough
    -Wframe-larger-than=2048 -Wno-missing-field-initializers -Werror'
archives=
for library in auth orm http pg core; do archives="$archives $build/$library/libbrio_$library.a"; done

# compile COMPILER FLAG...
# shellcheck disable=SC2086  # a list of flags
compile() { compiler=$1; shift; $compiler -std=gnu17 -D_GNU_SOURCE $warnings -I. -I"$build/include" "$@"; }

bad=0 skipped=0 programs=0
links=$(grep -o '\](\([^)]*\))' "$page" | sed -n '/:/d; s/^](\([^#)]*\).*/\1/p')
for link in $links; do
    [ -e "${page%/*}/$link" ] || { echo "$page: there is no $link" >&2; bad=1; }
done
for program in "$out"/*.c; do
    [ -f "$program" ] || continue
    programs=$((programs + 1))
    for compiler in gcc clang-14; do
        compile $compiler -fsyntax-only "$program" || { echo "$page: $compiler rejects a program" >&2; bad=1; }
    done
    expected=${program%.c}.output
    [ -f "$expected" ] || continue
    binary=${program%.c}
    # shellcheck disable=SC2086  # a list of files
    compile "$cc" "$@" -g -Wno-frame-larger-than -o "$binary" "$program" $archives -lssl -lcrypto -largon2 -lzstd -lbrotlienc -lz -lm -pthread ||
        { echo "$page: a program does not link" >&2; bad=1; continue; }
    case $name in pg | orm)
        if [ -z "${DATABASE_URL:-}" ]; then
            echo "$page: DATABASE_URL is unset: not run"
            skipped=1
            continue
        fi ;;
    esac
    timeout 60 "$binary" >"$binary.printed" || { echo "$page: a program ends with status $?" >&2; bad=1; }
    diff -u "$expected" "$binary.printed" >&2 || { echo "$page: a program prints something else" >&2; bad=1; }
done
if [ $programs -eq 0 ] && [ -f "$name/CMakeLists.txt" ]; then
    echo "$page has no program" >&2
    bad=1
fi
[ $bad -eq 0 ] || exit 1
[ $skipped -eq 0 ] || exit 77
