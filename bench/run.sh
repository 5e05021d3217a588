#!/bin/sh
# What ./dev bench runs once it has built the release preset: every row, or those named.
#
# A row says what was measured, the figure, what it stands beside, and the command that made it. Figures are
# medians; runs alternate with those of what they are compared with, because other work on the machine comes
# and goes. Servers listen on free loopback ports and are ended by their process ids.
set -eu
cd "$(dirname "$0")/.."
ROWS='json pipeline http files file upload mallocs compress idle memory pg note json_document head reply router client timer fiber build'
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

# A port that nobody listens on now, in $port: what reads a file of settings cannot be told to take any.
free_port() {
    for port in $(shuf -i 20000-32000 -n 50); do
        curl -s -o "$dir/nothing" "http://127.0.0.1:$port/" || return 0
    done
    die "no port is free"
}

# serve_configured NAME PATH COMMAND...   as serve, on $port, which its settings name
serve_configured() {
    name=$1 path=$2; shift 2
    "$@" >"$dir/$name.out" 2>&1 &
    server=$!
    servers="$servers $server"
    for _ in $(seq 100); do
        if curl -sf -o "$dir/nothing" "http://127.0.0.1:$port$path"; then return 0; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$dir/$name.out" >&2
    die "$name does not start"
}

# serve_nginx PATH [DIRECTIVE]   nginx as one process, with what a server of constant answers needs, and files of
# $dir/files
serve_nginx() {
    free_port
    mkdir -p "$dir/nginx"
    cat >"$dir/nginx.conf" <<CONFIG
daemon off; master_process off; pid $dir/nginx/pid; error_log stderr error;
events { worker_connections 4096; }
http {
    ${2:-}
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
    client_body_temp_path $dir/nginx/a; proxy_temp_path $dir/nginx/b; fastcgi_temp_path $dir/nginx/c;
    uwsgi_temp_path $dir/nginx/d; scgi_temp_path $dir/nginx/e;
    server {
        listen 127.0.0.1:$port;
        location = /plaintext { default_type text/plain; return 200 "Hello, World!"; }
        location = /json { default_type application/json; return 200 '{"message":"Hello, World!"}'; }
        location /files/ { root $dir; }
    }
}
CONFIG
    serve_configured nginx "$1" /usr/sbin/nginx -p "$dir/nginx" -c "$dir/nginx.conf" -e stderr
}

# h2o with one thread; its constant answers are mruby's, which is faster than a file of the same bytes.
serve_h2o() {
    free_port
    cat >"$dir/h2o.conf" <<CONFIG
user: $(id -un)
num-threads: 1
listen: { host: 127.0.0.1, port: $port }
hosts:
  default:
    paths:
      /plaintext:
        mruby.handler: |
          Proc.new {|env| [200, {"content-type" => "text/plain"}, ["Hello, World!"]]}
      /json:
        mruby.handler: |
          Proc.new {|env| [200, {"content-type" => "application/json"}, ["{\\"message\\":\\"Hello, World!\\"}"]]}
CONFIG
    serve_configured h2o "$1" h2o -c "$dir/h2o.conf"
}

# kore with one worker; its answers are made by two functions of a module, as in any program for it.
serve_kore() {
    free_port
    mkdir -p "$dir/kore"
    cat >"$dir/kore/hello.c" <<MODULE
#include <kore/kore.h>
#include <kore/http.h>
int plaintext(struct http_request *req);
int plaintext(struct http_request *req)
{
    http_response_header(req, "content-type", "text/plain");
    http_response(req, 200, "Hello, World!", 13);
    return KORE_RESULT_OK;
}
int json(struct http_request *req);
int json(struct http_request *req)
{
    http_response_header(req, "content-type", "application/json");
    http_response(req, 200, "{\"message\":\"Hello, World!\"}", 27);
    return KORE_RESULT_OK;
}
MODULE
    cc -O2 -fPIC -shared -o "$dir/kore/hello.so" "$dir/kore/hello.c"
    cat >"$dir/kore.conf" <<CONFIG
workers 1
worker_max_connections 1024
http_keepalive_time 600
server plain {
    bind 127.0.0.1 $port
    tls no
}
load $dir/kore/hello.so
domain * {
    attach plain
    route /plaintext plaintext
    route /json json
}
CONFIG
    serve_configured kore "$1" kore -f -n -r -q -c "$dir/kore.conf"
}

# wrk for some seconds; what it printed is in $dir/wrk
wrk_run() {
    seconds=$1; shift
    timeout 60 wrk -d"${seconds}s" "$@" >"$dir/wrk" 2>&1 || { cat "$dir/wrk" >&2; die "wrk failed"; }
    ! grep -E 'Socket errors|Non-2xx' "$dir/wrk" >&2 || die "wrk saw errors"
}

# load NAME PID PORT PATH DEPTH   DEPTH requests in one write. Appends CPU microseconds per request to NAME.all and
# NAME.user, requests a second to NAME.rate, microseconds of latency to NAME.p50, NAME.p99 and NAME.p999
load() {
    name=$1 pid=$2 url=http://127.0.0.1:$3$4
    before=$(stat_fields "$pid")
    wrk_run $SECONDS_A_RUN -t1 -c$CONNECTIONS -s bench/load.lua "$url" -- "$5"
    after=$(stat_fields "$pid")
    requests=$(awk '/requests in/ { print $1 }' "$dir/wrk")
    printf '%s\n%s\n' "$before" "$after" | awk -v n="$requests" -v tick_us=$((1000000 / $(getconf CLK_TCK))) '
        NR == 1 { user = $12; all = $12 + $13 }
        NR == 2 { print ($12 - user) * tick_us / n, ($12 + $13 - all) * tick_us / n }' >"$dir/cpu"
    cut -d' ' -f1 "$dir/cpu" >>"$dir/$name.user"
    cut -d' ' -f2 "$dir/cpu" >>"$dir/$name.all"
    awk '/Requests\/sec/ { print $2 }' "$dir/wrk" >>"$dir/$name.rate"
    # wrk corrects its latencies as those of single requests.
    [ "$5" = 1 ] || timeout 60 "$BIN/bench/pipelined" "$3" "$4" "$5" $CONNECTIONS 1 >"$dir/wrk" || die "pipelined failed"
    awk '/percentiles_us/ { print $2 }' "$dir/wrk" >>"$dir/$name.p50"
    awk '/percentiles_us/ { print $3 }' "$dir/wrk" >>"$dir/$name.p99"
    awk '/percentiles_us/ { print $4 }' "$dir/wrk" >>"$dir/$name.p999"
}

# start_pair PATH   hello and bare_epoll, which answers with the same bytes: $hello_worker, $hello_port, $bare, $bare_port
start_pair() {
    serve_hello
    hello_worker=$(workers_of "$server") hello_port=$port
    curl -sSi "http://127.0.0.1:$hello_port$1" >"$dir/answer"
    serve bare_epoll "$BIN/bench/bare_epoll" "$dir/answer"
    bare_server=$server bare_port=$port
    rm -f "$dir"/*.all "$dir"/*.user "$dir"/*.rate "$dir"/*.p50 "$dir"/*.p99 "$dir"/*.p999
}

# compare PATH DEPTH   loads them in turns: $brio, $bare, $brio_user, $bare_user (microseconds), $ratio
compare() {
    start_pair "$1"
    for _ in $(seq $ROUNDS); do
        load brio "$hello_worker" "$hello_port" "$1" "$2"
        load bare "$bare_server" "$bare_port" "$1" "$2"
    done
    stop_all
    medians
}

medians() {
    brio=$(median "$dir/brio.all") bare=$(median "$dir/bare.all")
    brio_user=$(median "$dir/brio.user") bare_user=$(median "$dir/bare.user")
    ratio=$(calc "$brio / $bare")
}

figure_us() { calc "$1" %.2f; printf ' us (%s user)' "$(calc "$2" %.2f)"; }

# ---- rows: the servers ----

row_json() {
    compare /json 1
    row 'JSON route, server CPU a request' "$(figure_us "$brio" "$brio_user")" \
        "bare_epoll $(figure_us "$bare" "$bare_user"); ratio $ratio, $(at_most "$ratio" 1.20)"
    command_was "$HELLO" "$BIN/bench/bare_epoll ANSWER   # of GET /json, as curl -i shows it" \
        "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s http://127.0.0.1:PORT/json   # in turns, $ROUNDS each; utime and stime of /proc/PID/stat"
}

row_pipeline() {
    compare /json 16
    row 'the same, 16 requests pipelined' "$(figure_us "$brio" "$brio_user")" \
        "bare_epoll $(figure_us "$bare" "$bare_user"); ratio $ratio, for orientation"
    command_was "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s -s bench/load.lua http://127.0.0.1:PORT/json -- 16   # the rest as before"
}

# beside NAME WHAT PID DEPTH   one row of a server that load has loaded. The latency of what was pipelined is that of
# all of it together.
beside() {
    latency=" p50 $(median "$dir/$1.p50"), p99 $(median "$dir/$1.p99"), p99.9 $(median "$dir/$1.p999") us"
    if [ "$4" = 1 ]; then latency="$latency;"; else latency="$latency of $4 together;"; fi
    row "    $2" "$(figure_us "$(median "$dir/$1.all")" "$(median "$dir/$1.user")")" \
        "$(calc "$(median "$dir/$1.rate")" %.0f) requests/s;$latency peak $(peak_mib "$3")"
}

# http_case WHAT PATH DEPTH TARGET   five servers in turns; kore, which answers the first of what is pipelined and then
# waits, one request at a time only
http_case() {
    start_pair "$2"
    serve_nginx "$2"
    nginx_server=$server nginx_port=$port
    serve_h2o "$2"
    h2o_server=$server h2o_port=$port
    serve_kore "$2"
    kore_worker=$(workers_of "$server") kore_port=$port
    for _ in $(seq $ROUNDS); do
        load brio "$hello_worker" "$hello_port" "$2" "$3"
        load bare "$bare_server" "$bare_port" "$2" "$3"
        load nginx "$nginx_server" "$nginx_port" "$2" "$3"
        load h2o "$h2o_server" "$h2o_port" "$2" "$3"
        [ "$3" != 1 ] || load kore "$kore_worker" "$kore_port" "$2" "$3"
    done
    medians
    row "$1, CPU a request" "ratio $ratio" \
        "of Brio's to bare_epoll's, $(at_most "$ratio" "$4"); user time $(calc "$brio_user") us, $(at_most "$brio_user" 1.0)"
    beside brio Brio "$hello_worker" "$3"
    beside bare bare_epoll "$bare_server" "$3"
    beside nginx 'nginx, return 200' "$nginx_server" "$3"
    beside h2o 'h2o, mruby' "$h2o_server" "$3"
    if [ "$3" = 1 ]; then
        beside kore 'kore, a module' "$kore_worker" "$3"
    else
        skip '    kore, a module' 'of requests that come together it answers the first, and waits'
    fi
    stop_all
}

row_http() {
    http_case 'plaintext' /plaintext 1 1.10
    http_case 'JSON' /json 1 1.10
    http_case 'plaintext, 16 pipelined' /plaintext 16 1.4
    http_case 'JSON, 16 pipelined' /json 16 1.4
    command_was "$HELLO" "$BIN/bench/bare_epoll ANSWER" "nginx, h2o, kore: one process, one thread; see serve_nginx, serve_h2o and serve_kore" \
        "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s -s bench/load.lua URL -- DEPTH   # in turns, $ROUNDS each; medians" \
        "$BIN/bench/pipelined PORT PATH 16 $CONNECTIONS 1   # the latency of 16 together"
}

serve_bulk() { serve bulk env -C "$dir" HOST=127.0.0.1 PORT=0 WORKERS=1 "$PWD/$BIN/bench/bulk"; }

# files_case NAME WHAT   a small file from three servers in turns
files_case() {
    rm -f "$dir"/*.all "$dir"/*.user "$dir"/*.rate "$dir"/*.p50 "$dir"/*.p99 "$dir"/*.p999
    for _ in $(seq $ROUNDS); do
        load brio "$bulk_worker" "$bulk_port" "/files/$1" 1
        load nginx "$nginx_server" "$nginx_port" "/files/$1" 1
        load cached "$cached_server" "$cached_port" "/files/$1" 1
    done
    row "$2, CPU a request" "ratio $(calc "$(median "$dir/brio.all") / $(median "$dir/nginx.all")")" "of Brio's to nginx's"
    beside brio Brio "$bulk_worker" 1
    beside nginx 'nginx, sendfile' "$nginx_server" 1
    beside cached 'nginx, open_file_cache' "$cached_server" 1
}

row_files() {
    mkdir -p "$dir/files"
    for kib in 1 16 64 1024; do head -c ${kib}K /dev/urandom >"$dir/files/$kib.bin"; done
    cp "$dir/files/1.bin" "$dir/files/1.txt"
    serve_bulk
    bulk_worker=$(workers_of "$server") bulk_port=$port
    serve_nginx /files/1.bin
    nginx_server=$server nginx_port=$port
    serve_nginx /files/1.bin 'open_file_cache max=1000 inactive=60s;'
    cached_server=$server cached_port=$port
    files_case 1.bin 'file of 1 KiB'
    files_case 1.txt 'the same as text, which may have neighbours'
    files_case 16.bin 'file of 16 KiB'
    files_case 64.bin 'file of 64 KiB'
    files_case 1024.bin 'file of 1 MiB'
    command_was "cd DIRECTORY && WORKERS=1 bench/bulk   # with files/1.bin, 1.txt, 16.bin, 64.bin, 1024.bin" \
        "nginx: one process; see serve_nginx; also with open_file_cache max=1000 inactive=60s" \
        "wrk -t1 -c$CONNECTIONS -d${SECONDS_A_RUN}s -s bench/load.lua URL -- 1   # in turns, $ROUNDS each; medians"
    stop_all
    rm -rf "$dir/files"
}

GIB=1073741824

# fetch NAME PID PORT [PATH]   appends GB/s to NAME.rate, and the server's CPU seconds a GiB to NAME.all
fetch() {
    before=$(stat_fields "$2" | awk '{ print $12 + $13 }')
    timeout 60 "$BIN/bench/transfer" get "$3" "${4:-/files/large}" >"$dir/transfer" || die "transfer failed"
    after=$(stat_fields "$2" | awk '{ print $12 + $13 }')
    awk '/bytes/ { n = $2 } /seconds/ { print n / $2 / 1e9 }' "$dir/transfer" >>"$dir/$1.rate"
    calc "($after - $before) / $(getconf CLK_TCK)" '%.3f\n' >>"$dir/$1.all"
}

row_file() {
    mkdir -p "$dir/files"
    head -c $GIB /dev/zero >"$dir/files/large"
    rm -f "$dir"/*.rate "$dir"/*.all
    serve_bulk
    bulk_worker=$(workers_of "$server") bulk_port=$port
    serve_nginx /files/large
    for _ in $(seq $ROUNDS); do
        fetch brio "$bulk_worker" "$bulk_port"
        fetch nginx "$server" "$port"
        fetch written "$bulk_worker" "$bulk_port" "/written/$GIB"
    done
    row 'file of 1 GiB, GB/s' "$(calc "$(median "$dir/brio.rate")")" \
        "$(calc "$(median "$dir/brio.all")" %.3f) s of CPU a GiB, peak $(peak_mib "$bulk_worker"); nginx (sendfile) $(calc "$(median "$dir/nginx.rate")") GB/s, $(calc "$(median "$dir/nginx.all")" %.3f) s"
    command_was "cd DIRECTORY && WORKERS=1 bench/bulk   # with files/large, 1 GiB, in memory" \
        "$BIN/bench/transfer get PORT /files/large   # in turns, $ROUNDS each; the client drops the bytes in the kernel"
    row 'answer of 1 GiB in pieces, GB/s' "$(calc "$(median "$dir/written.rate")")" \
        "$(calc "$(median "$dir/written.all")" %.3f) s of CPU a GiB; http_reply_write of 1 MiB each"
    command_was "$BIN/bench/transfer get PORT /written/$GIB   # in turns with those"
    stop_all
    rm -rf "$dir/files"
}

# upload WHAT PATH SAYS   10 GiB once, with the worker's peak of memory before and after
upload() {
    before=$(peak_mib "$bulk_worker")
    timeout 300 "$BIN/bench/transfer" put "$bulk_port" "$2" $((10 * GIB)) >"$dir/transfer" || die "transfer failed"
    [ "$(tail -n 1 "$dir/transfer")" = "$3" ] || die "$2 answers $(tail -n 1 "$dir/transfer") instead of $3"
    row "upload of 10 GiB, $1, GB/s" "$(awk '/^bytes/ { n = $2 } /^seconds/ { printf "%.2f", n / $2 / 1e9 }' "$dir/transfer")" \
        "peak of the worker's memory $before before, $(peak_mib "$bulk_worker") after"
}

row_upload() {
    mkdir -p "$dir/files"
    serve_bulk
    bulk_worker=$(workers_of "$server") bulk_port=$port
    timeout 60 "$BIN/bench/transfer" put "$bulk_port" /hash 65536 >"$dir/transfer" || die "transfer failed"
    upload dropped /discard $((10 * GIB))
    upload 'hashed (SHA-256)' /hash "$(head -c $((10 * GIB)) /dev/zero | sha256sum | cut -d' ' -f1)"
    command_was "WORKERS=1 bench/bulk" "$BIN/bench/transfer put PORT /hash $((10 * GIB)); grep VmHWM /proc/PID-OF-WORKER/status"
    stop_all
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

# packed_load SIZE CODING   the server's CPU microseconds a request, appended to $dir/SIZE.CODING
packed_load() {
    before=$(stat_fields "$packed_worker")
    wrk_run 1 -t1 -c$CONNECTIONS -H "Accept-Encoding: $2" "http://127.0.0.1:$port/$1"
    after=$(stat_fields "$packed_worker")
    requests=$(awk '/requests in/ { print $1 }' "$dir/wrk")
    printf '%s\n%s\n' "$before" "$after" | awk -v n="$requests" -v tick_us=$((1000000 / $(getconf CLK_TCK))) '
        NR == 1 { all = $12 + $13 }
        NR == 2 { print ($12 + $13 - all) * tick_us / n }' >>"$dir/$1.$2"
}

# The identical body without a coding is what the others are beside: the difference is the coding's.
row_compress() {
    head -c 16 /dev/zero >"$dir/packed_mallocs"
    serve packed env LD_PRELOAD="$PWD/$BIN/bench/libcount_mallocs.so" BRIO_MALLOC_COUNT="$dir/packed_mallocs" \
        HOST=127.0.0.1 PORT=0 WORKERS=1 "$BIN/bench/packed"
    packed_worker=$(workers_of "$server")
    rm -f "$dir"/4096.* "$dir"/65536.*
    for _ in $(seq $ROUNDS); do
        for size in 4096 65536; do
            for coding in identity zstd br gzip; do packed_load $size $coding; done
        done
    done
    for size in 4096 65536; do
        plain=$(median "$dir/$size.identity")
        row "JSON of $size bytes, CPU a request" "$(calc "$plain") us" 'as it is'
        for coding in zstd br gzip; do
            bytes=$(curl -sS -o /dev/null -w '%{size_download}' -H "Accept-Encoding: $coding" "http://127.0.0.1:$port/$size")
            us=$(median "$dir/$size.$coding")
            mallocs_before=$(od -An -tu8 "$dir/packed_mallocs")
            wrk_run 1 -t1 -c1 -H "Accept-Encoding: $coding" "http://127.0.0.1:$port/$size"
            mallocs_after=$(od -An -tu8 "$dir/packed_mallocs")
            calls=$(echo "$mallocs_before $mallocs_after" | awk '{ print $3 - $1 }')
            requests=$(awk '/requests in/ { print $1 }' "$dir/wrk")
            row "  in $coding" "$(calc "$us") us" \
                "$bytes bytes ($(calc "$bytes / $size * 100" %.0f) %); $(calc "$size / ($us - $plain)" %.0f) MB/s; $(calc "$calls / $requests" %.3f) heap calls"
        done
    done
    stop_all
    command_was "LD_PRELOAD=$BIN/bench/libcount_mallocs.so BRIO_MALLOC_COUNT=FILE WORKERS=1 $BIN/bench/packed" \
        "wrk -t1 -c$CONNECTIONS -d1s -H 'Accept-Encoding: CODING' http://127.0.0.1:PORT/SIZE   # in turns, $ROUNDS each; with -c1 for heap calls"
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

# start_database [WORD...]   these go before the command, and say where it runs
start_database() {
    pg=started
    DATABASE_URL=$("$@" tools/pg.sh start "$dir/pg" --throwaway --parent $$)
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
    note_script "$first"
    rm -f "$dir"/*.rate
}

# note_script FIRST   what pgbench runs, for notes from this one up
note_script() { printf '%s\n' "\\set id random($1, $(($1 + NOTES - 1)))" "$NOTE_QUERY" >"$dir/note.sql"; }

pgbench_run() {
    timeout 60 pgbench -n -M prepared -f "$dir/note.sql" -c $CONNECTIONS -j 2 -T $SECONDS_A_RUN "$DATABASE_URL" \
        >"$dir/pgbench" 2>&1 || { cat "$dir/pgbench" >&2; die "pgbench failed"; }
    awk '/^tps/ { print $3 }' "$dir/pgbench" >>"$dir/pgbench.rate"
}

beside_pgbench() {
    pgbench=$(median "$dir/pgbench.rate")
    printf 'pgbench %s; ratio %s' "$(calc "$pgbench" %.0f)" "$(calc "$1 / $pgbench")"
}

. bench/pg_rows.sh

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
row_reply() { micro reply counted; }
row_router() { micro router counted; }
row_client() { micro client; }
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
