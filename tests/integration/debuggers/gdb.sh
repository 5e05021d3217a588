#!/bin/bash
# gdb sees fibers: a backtrace inside one ends at its entry, and tools/brio_gdb.py prints those of all others,
# in a live process, from a core file, and in a server with the requests they work for.
#   gdb.sh PARKED SERVER
set -eu
command -v gdb >/dev/null || { echo "gdb is not installed"; exit 77; }
parked=$1
server=$2
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

fail() { echo "gdb.sh: $1"; cat "$dir/out"; exit 1; }

run_gdb() {
    LC_ALL=C timeout 100 gdb -nx -q -batch -ex 'set pagination off' -ex 'set width 0' -ex 'set print entry-values no' \
        -ex 'set debuginfod enabled off' \
        "$@" >"$dir/out" 2>&1 || fail "gdb failed"
    ! grep -qi 'corrupt stack\|error reading\|traceback' "$dir/out" || fail "a backtrace ended badly"
}

# in_order PATTERN...: each pattern is in a line of gdb's output after the line with the one before.
in_order() {
    cp "$dir/out" "$dir/rest"
    for pattern in "$@"; do
        line=$(grep -n -m1 "$pattern" "$dir/rest" | cut -d: -f1)
        [ -n "$line" ] || fail "no line with \"$pattern\" where it was looked for"
        tail -n "+$((line + 1))" "$dir/rest" >"$dir/less"
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
    echo "gdb.sh: no core file here, so only live processes were tried"
else
    run_gdb -ex 'source tools/brio_gdb.py' -ex 'brio fiber nobody' -ex 'brio fibers' "$parked" "$core"
    in_order 'there is no fiber nobody'
    all_fibers
fi

# A server with a request under way.
HOST=127.0.0.1 PORT=0 WORKERS=0 "$server" >"$dir/log" 2>&1 &
pid=$!
for _ in $(seq 200); do
    port=$(sed -n 's/.*"address":"127.0.0.1:\([0-9]*\)".*/\1/p' "$dir/log")
    [ -z "$port" ] || break
    sleep 0.1
done
curl -s -m 60 "http://127.0.0.1:$port/slow/20000" >/dev/null 2>&1 &
slow='request: waits for sleep, /slow/:ms<int8> (GET /slow/20000, id [0-9a-f]*)'
for _ in $(seq 20); do
    run_gdb -ex 'source tools/brio_gdb.py' -ex 'brio fibers' -p "$pid"
    ! grep -q "$slow" "$dir/out" || break
    sleep 0.1
done
in_order "$slow" '^#.* fiber_sleep (ms=20000)' '^#.* slow (' '^#.* fiber_main' '^#.* start ()'
