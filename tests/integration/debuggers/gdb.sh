#!/bin/bash
# gdb sees fibers: a backtrace inside one ends at its entry, and tools/brio_gdb.py prints those of all others,
# in a live process and from a core file.
#   gdb.sh PARKED
set -eu
command -v gdb >/dev/null || { echo "gdb is not installed"; exit 77; }
parked=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "gdb.sh: $1"; cat "$dir/out"; exit 1; }

run_gdb() {
    LC_ALL=C timeout 100 gdb -nx -q -batch -ex 'set pagination off' -ex 'set width 0' -ex 'set debuginfod enabled off' \
        "$@" >"$dir/out" 2>&1 || fail "gdb failed"
    ! grep -qi 'corrupt stack\|error reading\|traceback' "$dir/out" || fail "a backtrace ended badly"
}

# in_order PATTERN...: each pattern is in a line of gdb's output after the line with the one before.
in_order() {
    cp "$dir/out" "$dir/rest"
    for pattern in "$@"; do
        grep -q "$pattern" "$dir/rest" || fail "no line with \"$pattern\" where it was looked for"
        sed "0,/$pattern/d" "$dir/rest" >"$dir/less"
        mv "$dir/less" "$dir/rest"
    done
}

# What `brio fibers` must say, live or dead.
all_fibers() {
    in_order 'fiber .* main: waits for join' '^#1 .* switch_to_loop' '^#.* fiber_join' '^#.* stop_among_parked' \
        '^#.* run (' '^#.* fiber_main' '^#.* start ()'
    in_order 'fiber .* sleeper: waits for sleep' '^#.* fiber_sleep' '^#.* sleep_in_the_cellar (ms=3600000)' \
        '^#.* sleeper (' '^#.* fiber_main' '^#.* start ()'
    in_order 'fiber .* joiner: waits for join' '^#.* joiner (' '^#.* fiber_main'
    in_order 'fiber .* reader: waits for a reply' '^#.* wait_for_reply (number=42)' '^#.* read_reply (' \
        '^#.* fiber_main' '^#.* start ()'
    in_order 'fiber .* fresh: ready' '^#1 .* start ()' '^6 fibers'
}

run_gdb -ex 'break stop_here' -ex run -ex bt -ex 'source tools/brio_gdb.py' -ex 'brio fibers' \
    -ex 'brio fiber reader' -ex bt -ex 'frame function wait_for_reply' -ex 'info locals' \
    -ex 'brio fiber' -ex bt -ex 'delete' -ex continue "$parked"
in_order '^#0 .*stop_here (depth=3)' '^#1 .*go_down (depth=3)' '^#4 .*go_down (depth=0)' '^#5 .*diver (' \
    '^#6 .*fiber_main' '^#7 .*start ()'
all_fibers
in_order 'fiber .* diver: running' '^6 fibers' '^#.* wait_for_reply (' '^#.* fiber_main' 'wait_for_reply (number=42)' \
    '^e = ' '^#0 .*stop_here (depth=3)' '^#7 .*start ()' 'exited normally'

# A core file by the kernel, where it leaves one in the working directory.
cd "$dir"
ulimit -c unlimited
(exec "$parked" abort) >/dev/null 2>&1 || true
cd - >/dev/null
core=$(find "$dir" -name 'core*')
if [ -z "$core" ]; then
    echo "gdb.sh: no core file here, so only a live process was tried"
    exit 0
fi
run_gdb -ex 'source tools/brio_gdb.py' -ex 'brio fiber nobody' -ex 'brio fibers' "$parked" "$core"
in_order 'there is no fiber nobody'
all_fibers
