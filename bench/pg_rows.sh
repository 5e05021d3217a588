# shellcheck shell=sh disable=SC2154  # dir, BIN and what else run.sh, which reads this, has set
# The row pg: the client beside libpq, pgbench and psql. Contestants run in turns, LOAD_ROUNDS times each, and medians
# stand. Where there are two cores the server has the one and whoever asks has the other, so that neither takes the
# other's time and all are placed alike; only the first row lets everybody run everywhere.

LOAD_ROUNDS=9
LOAD_SECONDS=1
COPY_ROWS=1000000
PER_SYNC=32 # statements of a batch of the read-only lane, when as many are asked for

# on_core N COMMAND...   there, if there are two
on_core() {
    core=$1; shift
    if [ "$(nproc)" -lt 2 ]; then "$@"; else taskset -c "$core" "$@"; fi
}

# libpq since 17 does not send at every Sync; Debian's does. The directory of another one, or nothing.
newer_libpq() {
    newer=$(find "/var/tmp/brio-pg18-$(id -u)" -name 'libpq.so.5' 2>/dev/null | head -n 1)
    printf %s "${newer%/*}"
}

# What bench_pg and bench_libpq want to find.
make_tables() {
    tools/pg.sh psql "$dir/pg" -Xq -v ON_ERROR_STOP=1 <<'SQL'
create table notes (id bigint generated always as identity primary key, account_id bigint not null,
    title text not null, body text not null, created_at timestamptz not null default now());
insert into notes (account_id, title, body) select 1, 'Note ' || n, repeat('words ', 30) from generate_series(1, 1000) n;
create table samples (id bigint primary key, account_id bigint not null, parent_id bigint, cents bigint not null,
    seen int not null, rank int not null, score double precision not null, is_open boolean not null,
    name text not null, note text not null);
insert into samples select n, 1000000 + n, case when n % 3 > 0 then n - 1 end, 7919 * n, n % 100, n % 7, n / 8.0,
    n % 2 = 0, 'Sample ' || n, 'a note of forty characters about it, more' from generate_series(1, 1000) n;
create table bills (id bigint primary key, net numeric(12, 2) not null, tax numeric(12, 2) not null,
    total numeric(12, 2) not null, issued date not null, due date not null, booked timestamp not null,
    seen timestamptz not null, opens time not null, took interval not null);
insert into bills select n, n * 3.17, n * 0.61, n * 3.78, date '2025-01-01' + n, date '2025-01-31' + n,
    timestamp '2025-01-01 08:00:00.25' + n * interval '1 hour', timestamptz '2025-01-01 08:00:00Z' + n * interval '7 s',
    time '08:15' + n * interval '1 s', n * interval '61 s' + interval '2 days' from generate_series(1, 1000) n;
create table points (id bigint not null, n int not null, name text not null);
create table points_full as select n - 1 as id, ((n - 1) % 1000)::int as n, 'a point of some name' as name
    from generate_series(1::bigint, 1000000) n;
vacuum analyze;
SQL
}

# contend NAME CASE   one run of a contestant: appends to $dir/NAME.rate and $dir/NAME.us. The name's first word says
# who: brio, libpq, newer (libpq), pgbench, psql
contend() {
    case $1 in
        brio_*) set -- "$1" "$2" "$BIN/bench/bench_pg" ;;
        newer_*) set -- "$1" "$2" env LD_LIBRARY_PATH="$(newer_libpq)" "$BIN/bench/bench_libpq" ;;
        pgbench_*) pgbench_alone "$1" "$2"; return ;;
        psql_*) psql_copy "$1" "$2"; return ;;
        *) set -- "$1" "$2" "$BIN/bench/bench_libpq" ;;
    esac
    name=$1 load_case=$2; shift 2
    on_core 1 timeout 60 "$@" "$load_case" ${LOAD_SECONDS}s >"$dir/load" || die "$1 $load_case failed"
    awk '$2 == "rate" { print $3 }' "$dir/load" >>"$dir/$name.rate"
    awk '$2 == "cpu_us" { print $3 }' "$dir/load" >>"$dir/$name.us"
}

# counted NAME CASE MANY   instructions and heap calls of an operation: two counts of them, their difference. Without
# the looks before sleeping, which are as many as the machine likes
counted() {
    case $1 in brio_*) program=$BIN/bench/bench_pg ;; *) program=$BIN/bench/bench_libpq ;; esac
    for count in $(($3 / 10)) "$3"; do
        PG_BUSY_POLL=off timeout 120 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$2" "$count" 2>&1 |
            awk '/Collected/ { print $4 }'
        head -c 16 /dev/zero >"$dir/heap"
        LD_PRELOAD="$PWD/$BIN/bench/libcount_mallocs.so" BRIO_MALLOC_COUNT="$dir/heap" timeout 60 "$program" "$2" "$count"
        od -An -tu8 "$dir/heap" | awk '{ print $1 }'
    done | awk -v n=$(($3 - $3 / 10)) '{ v[NR] = $1 }
        END { printf "%.0f instructions, %.3g heap calls", (v[3] - v[1]) / n, (v[4] - v[2]) / n }'
}

# figures NAME   its rate and CPU
figures() { printf '%s, %s us' "$(calc "$(median "$dir/$1.rate")" %.0f)" "$(calc "$(median "$dir/$1.us")" %.3g)"; }
# ratio_of NAME NAME [us]   the median of the rounds' ratios: who runs right behind another has the same machine
ratio_of() {
    paste "$dir/$1.${3:-rate}" "$dir/$2.${3:-rate}" | awk '{ print $1 / $2 }' >"$dir/ratios"
    calc "$(median "$dir/ratios")"
}

# beside_libpq WHAT CASE MANY OTHERS [CASE-OF-LIBPQ…]   the rows of a case, and of what libpq does for it. OTHERS: who
# runs in the same rounds, as words NAME:CASE
beside_libpq() {
    what=$1 brio_case=$2 many=$3 others=$4; shift 4
    [ $# -gt 0 ] || set -- "$brio_case"
    rm -f "$dir/brio_$brio_case.rate" "$dir/brio_$brio_case.us"
    for other in "$@"; do rm -f "$dir/libpq_$other".* "$dir/newer_$other".*; done
    for _ in $(seq $LOAD_ROUNDS); do
        contend "brio_$brio_case" "$brio_case"
        for other in "$@"; do
            contend "libpq_$other" "$other"
            [ -z "$(newer_libpq)" ] || contend "newer_$other" "$other"
        done
        for other in $others; do contend "${other%:*}" "${other#*:}"; done
    done
    row "$what" "$(figures "brio_$brio_case")" "$(counted "brio_$brio_case" "$brio_case" "$many")"
    for other in "$@"; do
        row "    libpq 15, $other" "$(figures "libpq_$other")" \
            "ratio $(ratio_of "brio_$brio_case" "libpq_$other"); $(counted "libpq_$other" "$other" "$many")"
        [ -z "$(newer_libpq)" ] ||
            row "    libpq 18, $other" "$(figures "newer_$other")" "ratio $(ratio_of "brio_$brio_case" "newer_$other")"
    done
}

# The pool on all cores, and pgbench with as many connections as there are fibers.
row_pool() {
    for _ in $(seq $LOAD_ROUNDS); do
        timeout 60 "$BIN/bench/bench_pg" pool ${LOAD_SECONDS}s >"$dir/load" || die "bench_pg pool failed"
        awk '$2 == "rate" { print $3 }' "$dir/load" >>"$dir/all.rate"
        awk '$2 == "cpu_us" { print $3 }' "$dir/load" >>"$dir/all.us"
        pgbench_run
    done
    rate=$(median "$dir/all.rate")
    row 'one note by id on 64 fibers, queries/s' "$(calc "$rate" %.0f)" \
        "$(beside_pgbench "$rate"); $(median "$dir/all.us") us of the client's CPU a query"
    command_was "$BIN/bench/bench_pg pool ${LOAD_SECONDS}s" "$PGBENCH   # in turns, $LOAD_ROUNDS each; SCRIPT:"
    sed 's/^/      /' "$dir/note.sql"
}

# pgbench_alone NAME one|N   on one connection: a query after the other, or N of them in a pipeline with one Sync
pgbench_alone() {
    together=1
    cp "$dir/note.sql" "$dir/alone.sql"
    if [ "$2" != one ]; then
        together=$2
        { printf '%s\n' '\startpipeline'; for _ in $(seq "$2"); do sed 's/$/ /; $s/$/;/' "$dir/note.sql"; done
          printf '%s\n' '\endpipeline'; } >"$dir/alone.sql"
    fi
    on_core 1 timeout 60 pgbench -n -M prepared -f "$dir/alone.sql" -c 1 -T $LOAD_SECONDS "$DATABASE_URL" \
        >"$dir/pgbench" 2>&1 || { cat "$dir/pgbench" >&2; die "pgbench failed"; }
    awk -v n="$together" '/^tps/ { print $3 * n }' "$dir/pgbench" >>"$dir/$1.rate"
}

# other_row WHAT NAME BRIO   a contestant that only has a rate
other_row() { row "    $1" "$(calc "$(median "$dir/$2.rate")" %.0f)" "ratio $(ratio_of "$3" "$2")"; }

# All three in one round, because what counts is how they stand to each other.
row_lanes() {
    rm -f "$dir"/lane_*
    for _ in $(seq $LOAD_ROUNDS); do
        for lane in one shared read_only; do contend "brio_lane_$lane" $lane; done
    done
    row 'pipelined with a Sync each, to the closed loop' "$(ratio_of brio_lane_shared brio_lane_one)" \
        "at least 1.5: $(met "$(ratio_of brio_lane_shared brio_lane_one) >= 1.5")"
    lane=$(ratio_of brio_lane_read_only brio_lane_shared) cpu=$(ratio_of brio_lane_read_only brio_lane_shared us)
    row 'the read-only lane to a Sync each' "$lane" \
        "at least 1.5: $(met "$lane >= 1.5"); its client's CPU $cpu of it, at most a third: $(met "$cpu <= 0.3334")"
}

# The same rows by type and as values.
row_bills() {
    rm -f "$dir"/brio_bills*
    for _ in $(seq $LOAD_ROUNDS); do
        for kind in bills bills_values; do contend "brio_$kind" $kind; done
    done
    row '100 rows of 10 columns, numbers and dates' "$(figures brio_bills)" "$(counted brio_bills bills 200)"
    row 'the same as values' "$(figures brio_bills_values)" \
        "ratio $(ratio_of brio_bills_values brio_bills); $(counted brio_bills_values bills_values 200)"
}

# The same rows into JSON, with structs between and without.
row_rows_as_json() {
    rm -f "$dir"/brio_*_json.*
    for _ in $(seq $LOAD_ROUNDS); do
        for kind in structs_json rows_json; do contend "brio_$kind" $kind; done
    done
    row '100 rows of 10 columns as JSON, by structs' "$(figures brio_structs_json)" "$(counted brio_structs_json structs_json 200)"
    row 'the same straight, by pg_rows_json' "$(figures brio_rows_json)" \
        "ratio $(ratio_of brio_rows_json brio_structs_json); $(counted brio_rows_json rows_json 200)"
}

met() { awk "BEGIN { printf \"%s\", ($1) ? \"met\" : \"MISSED\" }"; }

# psql_copy NAME text|csv|out   rows a second of psql
psql_copy() {
    name=$1
    case $2 in
        text) set -- -c 'truncate points' -c "\\copy points from '$dir/points.txt'" ;;
        csv) set -- -c 'truncate points' -c "\\copy points from '$dir/points.csv' (format csv)" ;;
        *) set -- -c "\\copy points_full to /dev/null" ;;
    esac
    began=$(date +%s.%N)
    on_core 1 tools/pg.sh psql "$dir/pg" -Xq -v ON_ERROR_STOP=1 "$@" || die "psql failed"
    calc "$COPY_ROWS / ($(date +%s.%N) - $began)" '%.0f\n' >>"$dir/$name.rate"
}

row_copies() {
    tools/pg.sh psql "$dir/pg" -Xqc "\\copy points_full to '$dir/points.txt'"
    tools/pg.sh psql "$dir/pg" -Xqc "\\copy points_full to '$dir/points.csv' (format csv)"
    beside_libpq 'COPY in, rows/s' copy_in 20000 'psql_text:text psql_csv:csv' copy_in copy_in_binary
    other_row 'psql \copy of text' psql_text brio_copy_in
    other_row 'psql \copy of csv' psql_csv brio_copy_in
    rm -f "$dir/points.txt" "$dir/points.csv"
    beside_libpq 'COPY out as text, rows/s' copy_out 20000 psql_out:out
    other_row 'psql \copy to /dev/null' psql_out brio_copy_out
}

row_pg() {
    start_database
    make_tables
    note_script 1
    rm -f "$dir"/*.rate "$dir"/*.us
    row_pool
    stop_database
    if [ ! -x "$BIN/bench/bench_libpq" ]; then
        skip 'beside libpq' 'libpq-dev is not installed'
        return
    fi
    start_database on_core 0
    make_tables
    beside_libpq 'one after the other, queries/s' one 2000 pgbench_one:one
    other_row 'pgbench -M prepared -c1' pgbench_one brio_one
    beside_libpq '64 fibers, one connection, a Sync each' shared 5000 ''
    beside_libpq 'the same on a pool of eight' pool 20000 ''
    beside_libpq 'the same on the read-only lane' read_only 5000 "pgbench_group:$PER_SYNC"
    other_row "pgbench -M prepared, $PER_SYNC in \\startpipeline" pgbench_group brio_read_only
    group=$(ratio_of brio_read_only pgbench_group)
    row "    to pgbench's pipeline, a Sync in $PER_SYNC" "$group" "at least 1.7: $(met "$group >= 1.7")"
    row_lanes
    beside_libpq '20 queries in sequence, requests/s' sequence 100 ''
    beside_libpq '20 in one pipeline' pipeline 200 ''
    beside_libpq '20 in one batch' batch 200 ''
    beside_libpq '100 rows of 10 columns, by pg_get' decode 200 '' decode decode_binary
    beside_libpq 'the same by orm_list' decode_orm 200 '' decode decode_binary
    row_bills
    row_rows_as_json
    row_copies
    stop_database
    command_was "DATABASE_URL=\$(taskset -c 0 tools/pg.sh start DIRECTORY --throwaway)   # with make_tables" \
        "taskset -c 1 $BIN/bench/bench_pg CASE ${LOAD_SECONDS}s   # and bench_libpq, in turns, $LOAD_ROUNDS each; a rate, and the client's CPU an operation" \
        "valgrind --tool=callgrind $BIN/bench/bench_pg CASE COUNT   # two counts, their difference; heap calls likewise"
}
