#!/bin/sh
# manual.sh BUILD PAGE CC [FLAG...]: what a page of the manual shows is true. Every ```c block with an `int main` is
# a program: it compiles as it stands, with gcc and with clang, without a warning. One that an ```output block follows
# is also linked (by CC with FLAGs) and run, and must print just that. One that a ```console block follows is a server:
# it is started by the block's first line, `$ NAME=value ./program &`, on a free port, each `$ command` behind it is run
# with that port instead of 8080, and must print the lines up to the next one, white space aside; then SIGTERM must end
# it with status 0. Every program of docs/http.md is run one way or the other. The other ```c blocks
# compile too: as they stand, behind the libraries' headers; or, where a comment `<!-- given: LINES | PARAMETERS -->` comes
# before, behind those lines (which may be missing), as what a function with such parameters does. A library's page must
# have a program. Programs of pages about the database need DATABASE_URL to run. Links to other files lead to one.
set -eu
build=$1 page=$2 cc=$3
shift 3
name=${page##*/}
name=${name%.md}
out=$build/manual/$name
rm -rf "$out"
mkdir -p "$out"

# Programs as 1.c, 2.c …, what they print as 1.output, what is typed at them as 1.console …; other blocks as 1.part …
awk -v out="$out" '
    function part(block, given,   lines) {
        if (!given) return block
        if (i = index(given, "|")) { lines = substr(given, 1, i - 1); given = substr(given, i + 1) }
        return lines "static error part(" given ")\n{\n" block "    return OK;\n}\n"
    }
    /^<!-- given: /  { given = ""; comment = 1; $0 = substr($0, 13) }
    comment          { comment = !sub(/ *-->$/, ""); given = given $0 "\n"; next }
    /^```/ && inside { inside = 0; if (block ~ /int main\(/) { file = ++count; printf "%s", block > (out "/" file ".c") }
                       else { file = 0; printf "%s", part(block, given) > (out "/" (++parts) ".part") }
                       given = ""
                       next }
    inside           { block = block $0 "\n"; next }
    /^```$/ && prints { prints = 0; next }
    prints           { print > (out "/" file "." prints); next }
    /^```c$/         { inside = 1; block = ""; next }
    /^```output$/    { if (!file) { print FILENAME ": output of no program" > "/dev/stderr"; exit 1 }
                       prints = "output"; printf "" > (out "/" file ".output") }
    /^```console$/   { if (!file) { print FILENAME ": a console of no program" > "/dev/stderr"; exit 1 }
                       prints = "console" }
' "$page"

warnings='-Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
    -Wformat=2 -Wwrite-strings -Wcast-qual -Wpointer-arith -Wswitch-enum -Wdouble-promotion -Wimplicit-fallthrough
    -Wframe-larger-than=2048 -Wno-missing-field-initializers -Werror'
# link_with PROGRAM: sets `archives` and `others`. A program of pg's that needs nothing else of ours is linked with
# nothing else, and nothing of theirs but OpenSSL.
link_with() {
    libraries='auth orm http pg core' others='-lssl -lcrypto -largon2 -lzstd -lbrotlienc -lz -lm'
    if [ "$name" = pg ] && ! grep -q '"http/' "$1"; then libraries='pg core' others='-lssl -lcrypto -lm'; fi
    archives=
    for library in $libraries; do archives="$archives $build/$library/libbrio_$library.a"; done
}

# compile COMPILER FLAG...
# shellcheck disable=SC2086  # a list of flags
compile() { compiler=$1; shift; $compiler -std=gnu17 -D_GNU_SOURCE $warnings -I. -I"$build/include" "$@"; }

squeeze() { tr -d ' \r\n'; }

# serve BINARY: starts the server of a console as its first line says; sets `server` and `port`.
serve() {
    first=$(head -n 1 "$1.console")
    settings=$(expr "$first" : '\$ \(.*\)\./[a-z]* &$') || [ -n "$first" ] || return 1
    : >"$1.log"
    # shellcheck disable=SC2086  # NAME=value words
    env PORT=0 WORKERS=1 LOG_FORMAT=json $settings "$1" 2>"$1.log" &
    server=$!
    port=
    for _ in $(seq 200); do
        port=$(sed -n 's/.*"serving".*"127\.0\.0\.1:\([0-9]*\)".*/\1/p' "$1.log")
        [ -z "$port" ] || return 0
        sleep 0.05
    done
    return 1
}

# play BINARY: each command of its console, and what it prints. Commands stand on one line.
play() {
    curl() { command curl -sS --max-time 20 "$@"; }
    said=0 command='' expected=''
    {
        tail -n +2 "$1.console"
        echo '$ :'
    } >"$1.typed"
    while IFS= read -r line; do
        case $line in
        '$ '*)
            if [ -n "$command" ]; then
                printed=$(eval "$command" 2>&1 </dev/null) || said=1
                if [ "$(echo "$printed" | squeeze)" != "$(echo "$expected" | squeeze)" ]; then
                    printf '%s\nprints:\n%s\ninstead of:\n%s\n' "$command" "$printed" "$expected" >&2
                    said=1
                fi
            fi
            command=$(echo "${line#??}" | sed "s/localhost:8080/127.0.0.1:$port/g")
            expected= ;;
        *) expected="$expected$line
" ;;
        esac
    done <"$1.typed"
    return $said
}

bad=0 skipped=0 programs=0
links=$(grep -o '\](\([^)]*\))' "$page" | sed -n '/:/d; s/^](\([^#)]*\).*/\1/p')
for link in $links; do
    [ -e "${page%/*}/$link" ] || { echo "$page: there is no $link" >&2; bad=1; }
done
for part in "$out"/*.part; do
    [ -f "$part" ] || continue
    for compiler in gcc clang-14; do
        compile $compiler -fsyntax-only -Wno-unused -Wno-shadow -include errno.h -include brio/http.h -include brio/pg.h \
            -include brio/orm.h -x c "$part" || { echo "$page: $compiler rejects ${part##*/}" >&2; bad=1; }
    done
done
for program in "$out"/*.c; do
    [ -f "$program" ] || continue
    programs=$((programs + 1))
    for compiler in gcc clang-14; do
        compile $compiler -fsyntax-only "$program" || { echo "$page: $compiler rejects a program" >&2; bad=1; }
    done
    binary=${program%.c}
    expected=$binary.output
    if [ ! -f "$expected" ] && [ ! -f "$binary.console" ]; then
        [ "$name" != http ] || { echo "$page: a program is not run" >&2; bad=1; }
        continue
    fi
    link_with "$program"
    # shellcheck disable=SC2086  # lists of files
    compile "$cc" "$@" -g -Wno-frame-larger-than -o "$binary" "$program" $archives $others -pthread ||
        { echo "$page: a program does not link" >&2; bad=1; continue; }
    case $name in pg | orm)
        if [ -z "${DATABASE_URL:-}" ]; then
            echo "$page: DATABASE_URL is unset: not run"
            skipped=1
            continue
        fi ;;
    esac
    if [ -f "$binary.console" ]; then
        if ! serve "$binary"; then
            echo "$page: a program does not serve" >&2
            cat "$binary.log" >&2
            bad=1
        elif ! play "$binary"; then
            echo "$page: a server answers something else" >&2
            bad=1
        fi
        kill "$server" 2>/dev/null || true
        wait "$server" || { echo "$page: a server ends with status $?" >&2; bad=1; }
        continue
    fi
    timeout 60 "$binary" >"$binary.printed" || { echo "$page: a program ends with status $?" >&2; bad=1; }
    diff -u "$expected" "$binary.printed" >&2 || { echo "$page: a program prints something else" >&2; bad=1; }
done
if [ $programs -eq 0 ] && [ -f "$name/CMakeLists.txt" ]; then
    echo "$page has no program" >&2
    bad=1
fi
[ $bad -eq 0 ] || exit 1
[ $skipped -eq 0 ] || exit 77
