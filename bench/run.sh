#!/bin/sh
# What ./dev bench runs once it has built the release preset: every row, or those named.
#
# A row says what was measured, the figure, what it stands beside, and the command that made it. Figures are
# medians; runs alternate with those of what they are compared with, because other work on the machine comes
# and goes. Servers listen on free loopback ports and are ended by their process ids.
set -eu
cd "$(dirname "$0")/.."
ROWS='json pipeline mallocs idle memory pg note json_document head router timer fiber build'
BIN=build/release
CONNECTIONS=64
ROUNDS=5
SECONDS_A_RUN=2

dir=$(mktemp -d /tmp/brio-bench.XXXXXX)
servers=
pg=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

clean_up() {
    trap '' INT TERM HUP
    for pid in $servers; do stop "$pid"; done
    stop_database
    rm -rf "$dir"
}

die() { echo "bench: $*" >&2; exit 1; }

# ---- what is printed ----

# row WHAT FIGURE [BESIDE]
row() { printf '%-38s %-24s %s\n' "$1" "$2" "${3:-}"; }
command_was() { printf '    $ %s\n' "$@"; }
skip() { row "$1" skipped "$2"; }

# calc EXPRESSION [FORMAT]
calc() { awk "BEGIN { printf \"${2:-%.2f}\", $1 }"; }
at_most() { awk "BEGIN { printf \"at most %s: %s\", $2, $1 <= $2 ? \"met\" : \"MISSED\" }"; }
# The median of a file's numbers.
median() {
    sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# ---- servers ----

# serve NAME COMMAND...   starts a server and waits until it tells its port: $server (its process), $port
serve() {
    name=$1; shift
    "$@" >"$dir/$name.out" 2>&1 &
    server=$!
    servers="$servers $server"
    port=
    for _ in $(seq 100); do
        # An app logs its address; bare_epoll prints its port.
        port=$(sed -nE 's/.*address(=|":")[0-9.]*:([0-9]+).*/\2/p; s/^([0-9]+)$/\1/p' "$dir/$name.out" | head -n 1)
        if [ -n "$port" ] || ! kill -0 "$server" 2>/dev/null; then break; fi
        sleep 0.1
    done
    [ -n "$port" ] || { cat "$dir/$name.out" >&2; die "$name does not start"; }
}

# Asks a server to end; one that has not after ten seconds is killed.
stop() {
    kill -TERM "$1" 2>/dev/null || return 0
    (sleep 10; kill -KILL "$1" 2>/dev/null) >/dev/null 2>&1 &
    watchdog=$!
    wait "$1" 2>/dev/null || true
    kill "$watchdog" 2>/dev/null || true
}

stop_all() {
    for pid in $servers; do stop "$pid"; done
    servers=
}

# After the parenthesis that ends the name: state, parent, …, user and system time in ticks.
stat_fields() { sed 's/.*) //' "/proc/$1/stat"; }

# The workers of a supervisor.
workers_of() {
    for stat in /proc/[0-9]*/stat; do
        pid=${stat#/proc/}; pid=${pid%/stat}
        # shellcheck disable=SC2046  # fields are words
        set -- "$1" $(stat_fields "$pid" 2>/dev/null)
        if [ "${3:-}" = "$1" ]; then echo "$pid"; fi
    done
}

HELLO="WORKERS=1 $BIN/apps/hello/hello"
serve_hello() { serve hello env "$@" HOST=127.0.0.1 PORT=0 WORKERS=1 "$BIN/apps/hello/hello"; }

# wrk for some seconds; what it printed is in $dir/wrk
wrk_run() {
    seconds=$1; shift
    timeout 60 wrk -d"${seconds}s" "$@" >"$dir/wrk" 2>&1 || { cat "$dir/wrk" >&2; die "wrk failed"; }
    ! grep -E 'Socket errors|Non-2xx' "$dir/wrk" >&2 || die "wrk saw errors"
}

# load NAME PID PORT [WRK-OPTION...]   appends CPU microseconds per request to NAME.all and NAME.user
load() {
    name=$1 pid=$2 url=http://127.0.0.1:$3/json; shift 3
    before=$(stat_fields "$pid")
    wrk_run $SECONDS_A_RUN -t1 -c$CONNECTIONS "$@" "$url"
    after=$(stat_fields "$pid")
    requests=$(awk '/requests in/ { print $1 }' "$dir/wrk")
    printf '%s\n%s\n' "$before" "$after" | awk -v n="$requests" -v tick_us=$((1000000 / $(getconf CLK_TCK))) '
        NR == 1 { user = $12; all = $12 + $13 }
        NR == 2 { print ($12 - user) * tick_us / n, ($12 + $13 - all) * tick_us / n }' >"$dir/cpu"
    cut -d' ' -f1 "$dir/cpu" >>"$dir/$name.user"
    cut -d' ' -f2 "$dir/cpu" >>"$dir/$name.all"
}

# Loads hello and bare_epoll in turns: $brio, $bare, $brio_user, $bare_user (microseconds), $ratio
compare() {
    serve_hello
    hello_worker=$(workers_of "$server") hello_port=$port
    curl -sSi "http://127.0.0.1:$hello_port/json" >"$dir/answer"
    serve bare_epoll "$BIN/bench/bare_epoll" "$dir/answer"
    rm -f "$dir"/*.all "$dir"/*.user
    for _ in $(seq $ROUNDS); do
        load brio "$hello_worker" "$hello_port" "$@"
        load bare "$server" "$port" "$@"
    done
    stop_all
    brio=$(median "$dir/brio.all") bare=$(median "$dir/bare.all")
    brio_user=$(median "$dir/brio.user") bare_user=$(median "$dir/bare.user")
    ratio=$(calc "$brio / $bare")
}

figure_us() { calc "$1" %.2f; printf ' us (%s user)' "$(calc "$2" %.2f)"; }

# ---- rows: the servers ----

row_json() {
    compare
    row 'JSON route, server CPU a request' "$(figure_us "$brio" "$brio_user")" \
        "bare_epoll $(figure_us "$bare" "$bare_user"); ratio $ratio, $(at_most "$ratio" 1.20)"
    command_was "$HELLO" "$BIN/bench/bare_epoll ANSWER   # of GET /json, as curl -i shows it" \
        "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s http://127.0.0.1:PORT/json   # in turns, $ROUNDS each; utime and stime of /proc/PID/stat"
}

row_pipeline() {
    compare -s bench/pipeline.lua
    row 'the same, 16 requests pipelined' "$(figure_us "$brio" "$brio_user")" \
        "bare_epoll $(figure_us "$bare" "$bare_user"); ratio $ratio, for orientation"
    command_was "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s -s bench/pipeline.lua http://127.0.0.1:PORT/json   # the rest as before"
}

# Connections are made before the first look, so that what is counted is requests only.
row_mallocs() {
    head -c 16 /dev/zero >"$dir/mallocs"
    serve_hello LD_PRELOAD="$PWD/$BIN/bench/libcount_mallocs.so" BRIO_MALLOC_COUNT="$dir/mallocs"
    at_start=$(od -An -tu8 "$dir/mallocs")
    (wrk_run 4 -t1 -c$CONNECTIONS "http://127.0.0.1:$port/json") &
    load=$!
    sleep 1
    before=$(od -An -tu8 "$dir/mallocs")
    sleep 2
    after=$(od -An -tu8 "$dir/mallocs")
    wait $load
    stop_all
    requests=$(awk '/Requests\/sec/ { printf "%d", $2 * 2 }' "$dir/wrk")
    [ "$(echo "$at_start" | awk '{ print $1 }')" -gt 0 ] || die "libcount_mallocs.so counts nothing"
    calls=$(echo "$before $after" | awk '{ print $3 - $1 }')
    row 'JSON route, heap calls a request' "$(calc "$calls / $requests" %g)" \
        "$calls calls in about $requests requests; $(at_most "$calls" 0)"
    command_was "LD_PRELOAD=$BIN/bench/libcount_mallocs.so BRIO_MALLOC_COUNT=FILE $HELLO   # FILE: 16 zero bytes" \
        "wrk -t1 -c$CONNECTIONS -d4s http://127.0.0.1:PORT/json & sleep 1; od -tu8 FILE; sleep 2; od -tu8 FILE"
}

row_idle() {
    files=$(prlimit --pid $$ --nofile --noheadings --output HARD | tr -d ' ')
    if [ "$files" -lt 10200 ] 2>/dev/null; then
        skip 'idle connection, resident bytes' "10,000 connections need a hard limit of 10,200 open files"
        return
    fi
    serve_hello
    timeout 60 "$BIN/bench/idle_connections" "$port" "$(workers_of "$server")" 10000 >"$dir/idle"
    stop_all
    bytes=$(awk '/^idle_connection/ { print $2 }' "$dir/idle")
    row 'idle connection, resident bytes' "$bytes" \
        "$(at_most "$bytes" 1024); $(awk '/^resident/ { v[NR] = $2 / 1048576 } END { printf "worker %.1f MiB with 64, %.1f MiB with 10,000", v[1], v[2] }' "$dir/idle")"
    command_was "$HELLO" "$BIN/bench/idle_connections PORT PID-OF-WORKER 10000"
}

row_memory() {
    serve_hello
    worker=$(workers_of "$server")
    wrk_run $SECONDS_A_RUN -t1 -c$CONNECTIONS "http://127.0.0.1:$port/json"
    row 'hello, peak memory of a worker' "$(peak_mib "$worker")" "under $CONNECTIONS connections"
    command_was "$HELLO" "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s http://127.0.0.1:PORT/json; grep VmHWM /proc/PID-OF-WORKER/status"
    stop_all
}

peak_mib() { awk '/VmHWM/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$1/status"; }

# ---- rows: PostgreSQL ----

NOTES=1000
NOTE_QUERY='select id, account_id, title, body, created_at from notes where id = :id and account_id = 1'
PGBENCH="pgbench -n -M prepared -f SCRIPT -c $CONNECTIONS -j 2 -T $SECONDS_A_RUN \$DATABASE_URL"

start_database() {
    pg=started
    DATABASE_URL=$(tools/pg.sh start "$dir/pg" --throwaway --parent $$)
    export DATABASE_URL
}

stop_database() {
    [ -z "$pg" ] || tools/pg.sh remove "$dir/pg"
    pg=
}

# Notes of the account 1, with the ids $first and up.
make_notes() {
    tools/pg.sh psql "$dir/pg" -Xq -v ON_ERROR_STOP=1 -c "insert into notes (account_id, title, body)
        select 1, 'Note ' || n, repeat('words ', 30) from generate_series(1, $NOTES) n" -c 'vacuum analyze notes'
    first=$(tools/pg.sh psql "$dir/pg" -XAtqc 'select min(id) from notes')
    printf '%s\n' "\\set id random($first, $((first + NOTES - 1)))" "$NOTE_QUERY" >"$dir/note.sql"
    rm -f "$dir"/*.rate
}

pgbench_run() {
    timeout 60 pgbench -n -M prepared -f "$dir/note.sql" -c $CONNECTIONS -j 2 -T $SECONDS_A_RUN "$DATABASE_URL" \
        >"$dir/pgbench" 2>&1 || { cat "$dir/pgbench" >&2; die "pgbench failed"; }
    awk '/^tps/ { print $3 }' "$dir/pgbench" >>"$dir/pgbench.rate"
}

beside_pgbench() {
    pgbench=$(median "$dir/pgbench.rate")
    printf 'pgbench %s; ratio %s' "$(calc "$pgbench" %.0f)" "$(calc "$1 / $pgbench")"
}

row_pg() {
    start_database
    tools/pg.sh psql "$dir/pg" -Xqc 'create table notes (id bigint generated always as identity primary key,
        account_id bigint not null, title text not null, body text not null, created_at timestamptz not null default now())'
    make_notes
    rm -f "$dir/pg.us" "$dir/lane.rate" "$dir/lane.us" "$dir/sync.rate" "$dir/sync.us"
    for _ in $(seq $ROUNDS); do
        timeout 60 "$BIN/bench/bench_pg" $CONNECTIONS $SECONDS_A_RUN "$first" $NOTES >"$dir/bench_pg" || die "bench_pg failed"
        awk '/a_second/ { print $2 }' "$dir/bench_pg" >>"$dir/pg.rate"
        awk '/a_query/ { print $2 }' "$dir/bench_pg" >>"$dir/pg.us"
        one_connection sync
        one_connection lane read_only
        pgbench_run
    done
    stop_database
    rate=$(median "$dir/pg.rate")
    row 'one note by id on 64 fibers, queries/s' "$(calc "$rate" %.0f)" \
        "$(beside_pgbench "$rate"); $(median "$dir/pg.us") us of the client's CPU a query"
    command_was "DATABASE_URL=\$(tools/pg.sh start DIRECTORY --throwaway) $BIN/bench/bench_pg $CONNECTIONS $SECONDS_A_RUN $first $NOTES" \
        "$PGBENCH   # in turns, $ROUNDS each; SCRIPT:"
    sed 's/^/      /' "$dir/note.sql"
    rate=$(median "$dir/lane.rate")
    row 'the same in batches of reads (pg_read_only), one connection' "$(calc "$rate" %.0f)" \
        "a Sync each, one connection: $(calc "$(median "$dir/sync.rate")" %.0f); ratio $(calc "$rate / $(median "$dir/sync.rate")")"
    row "its client's CPU, us a query" "$(median "$dir/lane.us")" "a Sync each: $(median "$dir/sync.us")"
}

# one_connection NAME [read_only]: the same on a single connection
one_connection() {
    PG_POOL_MAX=1 timeout 60 "$BIN/bench/bench_pg" $CONNECTIONS $SECONDS_A_RUN "$first" $NOTES ${2:-} >"$dir/bench_pg" ||
        die "bench_pg failed"
    awk '/a_second/ { print $2 }' "$dir/bench_pg" >>"$dir/$1.rate"
    awk '/a_query/ { print $2 }' "$dir/bench_pg" >>"$dir/$1.us"
}

# notes with one account, serving: $port, $server, $token
serve_notes() {
    AUTH_SECRET=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    export AUTH_SECRET
    "$BIN/apps/notes/notes" migrate up >"$dir/migrate.out" 2>&1 ||
        { cat "$dir/migrate.out" >&2; die "notes does not migrate"; }
    serve notes env HOST=127.0.0.1 PORT=0 "$BIN/apps/notes/notes"
    who='{"email":"ada@example.com","password":"correct horse battery"}'
    curl -sSf -o "$dir/account" "http://127.0.0.1:$port/register" --json "$who"
    token=$(curl -sSf "http://127.0.0.1:$port/login" --json "$who" | sed 's/.*"token":"\([^"]*\)".*/\1/')
}

row_note() {
    if [ ! -x "$BIN/apps/notes/notes" ]; then
        skip 'GET one note, requests/s' "there is no $BIN/apps/notes/notes"
        return
    fi
    start_database
    serve_notes
    make_notes
    for _ in $(seq $ROUNDS); do
        wrk_run $SECONDS_A_RUN -t1 -c$CONNECTIONS -s bench/note.lua -H "Authorization: Bearer $token" \
            "http://127.0.0.1:$port/notes/" -- "$first" "$NOTES"
        awk '/Requests\/sec/ { print $2 }' "$dir/wrk" >>"$dir/notes.rate"
        pgbench_run
    done
    peak=
    for worker in $(workers_of "$server"); do peak="$peak${peak:+, }$(peak_mib "$worker")"; done
    stop_all
    stop_database
    rate=$(median "$dir/notes.rate")
    row 'GET one note, requests/s' "$(calc "$rate" %.0f)" "$(beside_pgbench "$rate")"
    command_was "DATABASE_URL=\$(tools/pg.sh start DIRECTORY --throwaway) AUTH_SECRET=... $BIN/apps/notes/notes   # $NOTES notes" \
        "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s -s bench/note.lua -H 'Authorization: Bearer TOKEN' http://127.0.0.1:PORT/notes/ -- $first $NOTES" \
        "$PGBENCH   # in turns, $ROUNDS each; SCRIPT as above"
    row 'notes, peak memory of its workers' "$peak" "after the same"
}

# ---- rows: programs that measure themselves ----

# micro NAME WHAT INSTRUCTIONS-OF   runs bench_NAME in turns; one row a case
micro() {
    rm -f "$dir"/case.*
    for _ in $(seq $ROUNDS); do
        "$BIN/bench/bench_$1" >"$dir/micro"
        while read -r case ns; do echo "$ns" >>"$dir/case.$case"; done <"$dir/micro"
    done
    while read -r case _; do
        instructions=
        [ -z "${2:-}" ] || instructions=$(instructions_of "$1" "$case")
        row "$case" "$(median "$dir/case.$case") ns" "$instructions"
    done <"$dir/micro"
    command_was "$BIN/bench/bench_$1   # the median of $ROUNDS"
    [ -z "${2:-}" ] || command_was "valgrind --tool=callgrind $BIN/bench/bench_$1 CASE COUNT   # two counts, their difference"
}

collected() {
    timeout 60 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$BIN/bench/bench_$1" "$2" "$3" 2>&1 |
        awk '/Collected/ { print $4 }'
}

instructions_of() {
    few=10 many=110
    printf '%s instructions' "$(calc "($(collected "$1" "$2" $many) - $(collected "$1" "$2" $few)) / ($many - $few)" %.0f)"
}

row_json_document() { micro json counted; }
row_head() { micro head counted; }
row_router() { micro router counted; }
row_timer() { micro timer; }
row_fiber() { micro fiber; }

# ---- rows: the build ----

row_build() {
    began=$(date +%s.%N)
    { cmake --preset release -B "$dir/build" && cmake --build "$dir/build"; } >"$dir/build.log" 2>&1 ||
        { tail -n 20 "$dir/build.log" >&2; die "the build failed"; }
    took=$(calc "$(date +%s.%N) - $began" %.1f)
    row 'release build from nothing, seconds' "$took" "$(at_most "$took" 20), on $(nproc) cores"
    command_was "cmake --preset release -B DIRECTORY && cmake --build DIRECTORY"
    for app in "$dir"/build/apps/*/*; do
        if [ ! -f "$app" ] || [ ! -x "$app" ]; then continue; fi
        strip -o "$dir/stripped" "$app"
        row "${app##*/}, size of the program" "$(calc "$(stat -c %s "$dir/stripped") / 1024" %.0f) KiB" \
            "stripped; $(calc "$(stat -c %s "$app") / 1024" %.0f) KiB with symbols and line numbers"
    done
}

# ---- which ----

[ -x "$BIN/bench/bare_epoll" ] || die "there is no $BIN/bench: run ./dev bench"
# shellcheck disable=SC2086  # words
[ $# -gt 0 ] || set -- $ROWS
for name in "$@"; do
    case " $ROWS " in
        *" $name "*) "row_$name" ;;
        *) die "there is no row $name; there are: $ROWS" ;;
    esac
done
