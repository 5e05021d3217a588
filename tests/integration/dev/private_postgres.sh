#!/bin/sh
# The private PostgreSQL of tools/pg.sh: what it promises to a run that ends well, is killed, or comes twice.
# Everything is done as this user and, by root, once more as nobody: initdb differs.
set -eu
for bin in /usr/lib/postgresql/*/bin; do :; done
[ -x "$bin/initdb" ] || { echo "there is no PostgreSQL server here"; exit 77; }

if [ "${1:-}" = as-nobody ]; then
    dir=$2
    tool=$dir/pg.sh
else
    dir=$(mktemp -d /tmp/brio-dev.XXXXXX)
    tool=$(cd "$(dirname "$0")/../../.." && pwd -P)/tools/pg.sh
fi

clean() {
    for cluster in "$dir"/*/home; do
        [ ! -e "$cluster" ] || timeout 60 "$tool" remove "$(dirname "$cluster")" || true
    done
    rm -rf "$dir" 2>/dev/null || true
}
trap clean EXIT
trap 'exit 130' INT TERM

fail() { echo "private_postgres.sh: $*" >&2; exit 1; }

ask() { timeout 20 "$bin/psql" -XAtqw "$1" -c "$2"; }

is() { [ "$2" = "$3" ] || fail "$1: \"$2\" and not \"$3\""; }

# Waits up to 20 s.
eventually() {
    what=$1
    shift
    for _ in $(seq 200); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    fail "never: $what"
}
gone() { [ ! -e "$1" ]; }
is_dead() { ! kill -0 "$1" 2>/dev/null && [ ! -d "/proc/$1" ]; }
silent() { ! ask "$1" 'select 1' >/dev/null 2>&1; }

# The cluster of most tests, which ends with this script at the latest.
start_a() { "$tool" start "$dir/a" --parent $$; }

server_of() { head -n 1 "$(cat "$1/home")/data/postmaster.pid"; }

# --- who may log in, and from where

test_start_wants_the_password_everywhere() {
    url=$(start_a)
    tcp=$("$tool" url "$dir/a" tcp)
    is "over the Unix socket" "$(ask "$url" 'select 1')" 1
    is "over TCP" "$(ask "$tcp" 'select 1')" 1
    for good in "$url" "$tcp"; do
        wrong=$(echo "$good" | sed 's,brio:[^@]*@,brio:wrong@,')
        if ask "$wrong" 'select 1' 2>/dev/null; then fail "a wrong password is taken: $wrong"; fi
        none=$(echo "$good" | sed 's,brio:[^@]*@,brio@,')
        if ask "$none" 'select 1' 2>/dev/null; then fail "no password is taken: $none"; fi
    done
    is "ways to log in" "$(ask "$url" 'select distinct auth_method from pg_hba_file_rules')" scram-sha-256
    is "addresses" "$(ask "$url" 'show listen_addresses')" 127.0.0.1
    is "the password's file" "$(stat -c %a "$(cat "$dir/a/home")/password")" 600
}

# --- databases

test_start_makes_the_database_that_is_named() {
    shop=$("$tool" start "$dir/a" --database my-Shop2 --parent $$)
    ask "$shop" 'create table only_here (n int)'
    is "its name" "$(ask "$shop" 'select current_database()')" my-Shop2
    is "the other's tables" "$(ask "$url" "select count(*) from pg_class where relname = 'only_here'")" 0
    is "again" "$("$tool" start "$dir/a" --database my-Shop2 --parent $$)" "$shop"
    is "psql" "$("$tool" psql "$dir/a" --database my-Shop2 -XAtqc 'select count(*) from only_here')" 0
    for name in '' 'a b' "a'b" 'a"b'; do
        if "$tool" start "$dir/a" --database "$name" >"$dir/said" 2>&1; then fail "a database is named $name"; fi
        grep -q "database's name" "$dir/said" || fail "it says: $(cat "$dir/said")"
    done
}

# --- what stays

test_stop_and_start_keep_data_and_address() {
    ask "$url" 'create table kept (n int); insert into kept values (42)'
    "$tool" stop "$dir/a"
    silent "$url" || fail "stopped, it answers"
    if "$tool" psql "$dir/a" >"$dir/said" 2>&1; then fail "psql succeeds"; fi
    grep -q 'start it first' "$dir/said" || fail "it says: $(cat "$dir/said")"
    is "the address" "$(start_a)" "$url"
    is "the data" "$(ask "$url" 'select n from kept')" 42
}

test_start_of_what_runs_reuses_it() {
    before=$(server_of "$dir/a")
    is "the address" "$(start_a)" "$url"
    is "the server" "$(server_of "$dir/a")" "$before"
}

# A run that was killed with its server leaves a postmaster.pid behind, whose number may be another's by now.
test_start_after_a_kill_recovers() {
    before=$(server_of "$dir/a")
    kill -KILL "$before"
    eventually "the server is dead" is_dead "$before"
    is "the address" "$(start_a)" "$url"
    is "the data" "$(ask "$url" 'select n from kept')" 42
    "$tool" stop "$dir/a"
    echo $$ >"$(cat "$dir/a/home")/data/postmaster.pid"
    is "the address" "$(start_a)" "$url"
    is "the data" "$(ask "$url" 'select n from kept')" 42
}

# Somebody has tidied /tmp: the server runs, and nobody can reach it.
test_start_replaces_a_server_that_does_not_answer() {
    before=$(server_of "$dir/a")
    rm -rf "$(cat "$(cat "$dir/a/home")/socket_dir")"
    silent "$url" || fail "without its socket it answers"
    url=$(start_a)
    is "the data" "$(ask "$url" 'select n from kept')" 42
    eventually "the server that did not answer is gone" is_dead "$before"
}

# --- parents

# A process to live for a database, in $parent.
new_parent() {
    sleep 300 &
    parent=$!
}

test_last_parent_takes_a_throwaway_along() {
    new_parent
    first=$parent
    new_parent
    second=$parent
    url=$("$tool" start "$dir/b" --throwaway --parent "$first")
    is "the address" "$("$tool" start "$dir/b" --throwaway --parent "$second")" "$url"
    home=$(cat "$dir/b/home")
    server=$(server_of "$dir/b")
    socket=$(cat "$home/socket_dir")
    kill -KILL "$first"
    wait "$first" 2>/dev/null || true
    eventually "the first parent is forgotten" gone "$home/parents/$first"
    is "with one parent left" "$(ask "$url" 'select 1')" 1
    kill -KILL "$second"
    wait "$second" 2>/dev/null || true
    eventually "the server ends with its last parent" is_dead "$server"
    eventually "its files go" gone "$home"
    eventually "its socket goes" gone "$socket"
}

test_parent_leaves_the_data_of_what_is_kept() {
    "$tool" release "$dir/a" $$
    silent "$url" || fail "released, it answers"
    new_parent
    url=$("$tool" start "$dir/a" --parent "$parent")
    server=$(server_of "$dir/a")
    kill -KILL "$parent"
    wait "$parent" 2>/dev/null || true
    eventually "the server ends with its parent" is_dead "$server"
    url=$(start_a)
    is "the data" "$(ask "$url" 'select n from kept')" 42
}

# --- at once

test_two_starts_at_once_are_one_server() {
    "$tool" stop "$dir/a"
    start_a >"$dir/one" &
    one=$!
    start_a >"$dir/two" || fail "the second start fails"
    wait "$one" || fail "the first start fails"
    is "the address" "$(cat "$dir/one")" "$(cat "$dir/two")"
    is "the data" "$(ask "$(cat "$dir/one")" 'select n from kept')" 42
}

# --- misuse

test_throwaway_of_what_is_kept_is_refused() {
    if "$tool" start "$dir/a" --throwaway >"$dir/said" 2>&1; then fail "kept data is made throwaway"; fi
    grep -q 'data that is to stay' "$dir/said" || fail "it says: $(cat "$dir/said")"
}

run_all() {
    names=$(sed -n 's/^\(test_[a-z0-9_]*\)() {$/\1/p' "$0")
    for name in $names; do
        echo "$(id -un): $name"
        $name
    done
    "$tool" remove "$dir/a"
    gone "$dir/a" || fail "removed, it is there"
}

run_all
if [ "$(id -u)" = 0 ]; then
    mkdir "$dir/nobody"
    cp "$tool" "$0" "$dir/nobody/"
    chown -R nobody "$dir/nobody"
    chmod 755 "$dir"
    (cd / && setpriv --reuid=nobody --regid=nogroup --clear-groups --reset-env -- \
        "$dir/nobody/$(basename "$0")" as-nobody "$dir/nobody")
fi
