#!/bin/sh
# A private PostgreSQL: ./dev run keeps one in .brio/pg, ./dev test and single tests make throwaway ones.
#
#   tools/pg.sh start DIR [--database NAME] [--throwaway] [--parent PID]
#                                                        start it (made at first); prints its DATABASE_URL
#   tools/pg.sh standby DIR OF [--parent PID]            make and start a streaming standby of OF's, which runs
#   tools/pg.sh promote DIR                              end its being one: it can be written to
#   tools/pg.sh stop DIR                                 stop it, whoever uses it; start brings it back as it was
#   tools/pg.sh kill DIR                                 the same as a crash: no goodbye to its clients
#   tools/pg.sh release DIR PID                          PID needs it no longer; the last one stops it
#   tools/pg.sh remove DIR                               stop it and delete its files
#   tools/pg.sh url DIR [tcp]                            DATABASE_URL over the Unix socket, or over TCP
#   tools/pg.sh psql DIR [--database NAME] [ARGUMENT...] psql, logged in
#
# NAME is `brio` where none is given; start makes a database that is not there yet.
#
# It listens on a Unix socket and on a free loopback port and wants SCRAM-SHA-256 on both. With --parent
# it stops when the process PID and all later parents have gone, however they went; a --throwaway one
# forgets at once what a crash would cost (no fsync) and is then deleted. PostgreSQL refuses to run as
# root: root's cluster runs as user postgres, in /var/tmp if postgres cannot reach DIR.
#
# DIR holds `home`, the path of the directory with: data/ password port socket_dir log parents/ lock
set -eu
umask 077

die() { echo "pg.sh: $*" >&2; exit 1; }

# BRIO_PG_BIN: another server's programs than the system's; it may lack psql, the system's does.
find_binaries() {
    psql=
    for bin in /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin; do
        if [ -z "$psql" ] && [ -x "$bin/psql" ]; then psql=$bin/psql; fi
    done
    for bin in ${BRIO_PG_BIN:+"$BRIO_PG_BIN"} /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin; do
        if [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ]; then return 0; fi
    done
    die "no PostgreSQL server here: install postgresql-15, or set DATABASE_URL to a database that exists"
}

# Runs a command as the user the server runs as. libpq must not look into root's home.
as_server() {
    if [ "$(id -u)" != 0 ]; then "$@"; return; fi
    setpriv --reuid=postgres --regid=postgres --init-groups --reset-env -- "$@"
}

random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# Decides where the cluster lives, at first; afterwards DIR/home says it.
make_home() {
    (umask 022 && mkdir -p "$dir")                    # a way in for the user postgres
    dir=$(cd "$dir" && pwd -P)
    home=$dir
    if [ "$(id -u)" = 0 ]; then
        id postgres >/dev/null 2>&1 || die "root needs a user postgres to run the server: install postgresql-15"
        chown postgres: "$dir"
        if ! as_server test -w "$dir" 2>/dev/null; then
            home=/var/tmp/brio-$(printf %s "$dir" | sha256sum | cut -c1-16)
            mkdir -p "$home"
            [ -e "$dir/home" ] || [ ! -e "$home/ready" ] ||
                echo "pg.sh: $home has the data of an earlier $dir: it is used again" >&2
            case $(stat -c %U "$home") in
                root|postgres) chown postgres: "$home" ;;
                *) die "$home belongs to somebody else" ;;
            esac
        fi
    fi
    chmod 700 "$home"
    echo "$home" >"$dir/home"
}

# Finds the home of a cluster that exists; false if there is none.
find_home() {
    [ -s "$dir/home" ] || return 1
    home=$(cat "$dir/home")
    [ -d "$home/data" ]
}

make_cluster() {
    [ ! -s "$home/data/PG_VERSION" ] || [ ! -e "$home/ready" ] || return 0
    rm -rf "$home/data" "$home/ready"                 # an initdb that was killed half-way
    random_hex 24 >"$home/password"
    [ "$(id -u)" != 0 ] || chown postgres: "$home/password"
    (cd "$home" && as_server "$bin/initdb" -D "$home/data" -U brio --pwfile="$home/password" \
        -A scram-sha-256 -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions) >"$home/initdb.log" 2>&1 ||
        { cat "$home/initdb.log" >&2; die "initdb failed"; }
    echo "include 'brio.conf'" >>"$home/data/postgresql.conf"
    : >"$home/ready"
}

# The port of last time, or one nobody listens on, below those the kernel gives to clients.
free_port() {
    port=$(cat "$home/port" 2>/dev/null || true)
    while [ -z "$port" ] ||
            grep -qi ":$(printf %04X "$port") [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null; do
        port=$((20000 + 0x$(random_hex 2) % 12000))
    done
    echo "$port" >"$home/port"
}

write_configuration() {
    cat >"$home/data/brio.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$socket_dir'
password_encryption = 'scram-sha-256'
max_connections = 200
log_min_messages = warning
CONF
    if [ -e "$home/throwaway" ]; then
        printf '%s\n' 'fsync = off' 'synchronous_commit = off' 'full_page_writes = off'
    fi >>"$home/data/brio.conf"
    [ "$(id -u)" != 0 ] || chown postgres: "$home/data/brio.conf"
}

# True if this cluster's server runs. A postmaster.pid can outlive a killed server, and its number
# can belong to another process by now: a server's working directory is its data.
running() {
    [ -s "$home/data/postmaster.pid" ] || return 1
    server=$(head -n 1 "$home/data/postmaster.pid")
    [ "$(readlink "/proc/$server/cwd" 2>/dev/null)" = "$(readlink -f "$home/data")" ]
}

answers() {
    url=$(make_url unix postgres)
    [ "$("$psql" -XAtqw "$url" -c 'select 1' 2>/dev/null)" = 1 ]
}

# make_url unix|tcp [NAME]
make_url() {
    if [ "$1" = tcp ]; then
        echo "postgresql://brio:$(cat "$home/password")@127.0.0.1:$(cat "$home/port")/${2:-$database}"
    else
        at="host=$(cat "$home/socket_dir")&port=$(cat "$home/port")"
        echo "postgresql://brio:$(cat "$home/password")@/${2:-$database}?$at"
    fi
}

use_database() {
    case $1 in
        ''|*[!A-Za-z0-9_-]*) die "a database's name has letters, digits, - and _: \"$1\" is none" ;;
    esac
    database=$1
}

# A Unix socket's path has room for 107 bytes: a short directory, however long the clone's path is.
make_socket_dir() {
    socket_dir=$(cat "$home/socket_dir" 2>/dev/null || true)
    [ -z "$socket_dir" ] || [ ! -d "$socket_dir" ] || return 0
    socket_dir=$(mktemp -d /tmp/brio-pg.XXXXXX)
    [ "$(id -u)" != 0 ] || chown postgres: "$socket_dir"
    echo "$socket_dir" >"$home/socket_dir"
}

start_server() {
    make_socket_dir
    for _ in 1 2 3 4 5; do                            # somebody may take the port; a dead server's children linger
        free_port
        write_configuration
        running || rm -f "$home/data/postmaster.pid"
        if (cd "$home" && as_server "$bin/pg_ctl" -D "$home/data" -l "$home/log" -s -w -t 60 start \
                </dev/null >/dev/null 2>&1 9>&-); then
            return 0
        fi
        rm -f "$home/port"
        sleep 1
    done
    tail -n 20 "$home/log" >&2
    die "PostgreSQL does not start; its log is $home/log"
}

make_database() {
    url=$(make_url unix postgres)
    [ "$("$psql" -XAtqw "$url" -c "select 1 from pg_database where datname = '$database'")" = 1 ] ||
        "$psql" -Xqw "$url" -c "create database \"$database\""
}

stop_server() {
    if running; then
        (cd "$home" && as_server "$bin/pg_ctl" -D "$home/data" -m "$1" -s -w -t 60 stop) ||
            die "PostgreSQL does not stop; its log is $home/log"
    fi
}

remove_socket_dir() {
    socket_dir=$(cat "$home/socket_dir" 2>/dev/null || true)
    case $socket_dir in /tmp/brio-pg.*) rm -rf "$socket_dir" ;; esac
}

remove_files() {
    remove_socket_dir
    rm -rf "$home" "$dir"
}

# Forgets the parents that have gone; true if one lives.
parents_live() {
    for file in "$home"/parents/*; do
        case ${file##*/} in
            '*') ;;
            kept) return 0 ;;
            *) [ ! -d "/proc/${file##*/}" ] || return 0; rm -f "$file" ;;
        esac
    done
    return 1
}

# Waits for the parent's end in the background; then lets go of the cluster for it.
watch_parent() {
    setsid "$self" watch "$dir" "$1" </dev/null >/dev/null 2>&1 9>&- &
}

locked() {
    exec 9>"$home/lock"
    flock -w 90 9 || die "$home is locked by another start or stop"
}

start() {
    throwaway=''
    parent=''
    while [ $# -gt 0 ]; do
        case $1 in
            --throwaway) throwaway=1 ;;
            --parent) parent=$2; shift ;;
            --database) use_database "${2:-}"; shift ;;
            *) usage ;;
        esac
        shift
    done
    make_home
    locked
    if [ -n "$throwaway" ]; then
        if [ -e "$home/ready" ] && [ ! -e "$home/throwaway" ]; then die "$dir holds data that is to stay"; fi
        : >"$home/throwaway"
    fi
    make_cluster
    mkdir -p "$home/parents"
    if running && ! answers; then stop_server immediate; fi
    running || start_server
    make_database
    if [ -n "$parent" ]; then
        : >"$home/parents/$parent"
        watch_parent "$parent"
    elif ! parents_live; then
        : >"$home/parents/kept"
    fi
    make_url unix
}

release() {
    find_home || return 0
    locked
    rm -f "$home/parents/$1"
    if parents_live; then return 0; fi
    if [ -e "$home/throwaway" ]; then
        stop_server immediate
        remove_files
    else
        stop_server fast
        remove_socket_dir
    fi
}

# A copy of another cluster that follows it; as throwaway as that one.
standby() {
    of=$1
    shift
    parent=''
    [ "${1:-}" != --parent ] || parent=$2
    primary=$(cat "$of/home")
    make_home
    locked
    [ ! -e "$home/ready" ] || die "$dir has a cluster already"
    [ ! -e "$primary/throwaway" ] || : >"$home/throwaway"
    cp "$primary/password" "$home/password"
    from="host=$(cat "$primary/socket_dir") port=$(cat "$primary/port") user=brio password=$(cat "$home/password")"
    (cd "$home" && as_server "$bin/pg_basebackup" -D "$home/data" -d "$from" -X stream -c fast --no-sync -R) ||
        die "pg_basebackup failed"
    : >"$home/ready"
    mkdir -p "$home/parents"
    start_server
    if [ -n "$parent" ]; then
        : >"$home/parents/$parent"
        watch_parent "$parent"
    fi
    make_url unix
}

usage() { sed -n '2,/^# DIR holds/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
self=$(cd "$(dirname "$0")" && pwd -P)/$(basename "$0")
verb=$1 dir=$2 database=brio
shift 2
find_binaries
case $verb in
    start) start "$@" ;;
    stop|kill)
        find_home || exit 0
        locked
        if [ "$verb" = kill ]; then stop_server immediate; else stop_server fast; fi
        rm -f "$home/parents/kept" ;;
    standby) [ $# -ge 1 ] || usage; standby "$@" ;;
    promote)
        find_home || die "there is no cluster in $dir"
        (cd "$home" && as_server "$bin/pg_ctl" -D "$home/data" -s -w -t 60 promote) || die "it was not promoted" ;;
    watch) tail --pid="$1" -f /dev/null; release "$1" ;;
    release) [ $# = 1 ] || usage; release "$1" ;;
    remove)
        find_home || { rm -rf "$dir"; exit 0; }
        locked
        stop_server immediate
        remove_files ;;
    url) find_home || die "there is no cluster in $dir"; make_url "${1:-unix}" ;;
    psql)
        find_home || die "there is no cluster in $dir"
        if [ "${1:-}" = --database ]; then use_database "${2:-}"; shift 2; fi
        running || die "the server of $dir does not run: start it first"
        exec "$psql" "$(make_url unix)" "$@" ;;
    *) usage ;;
esac
