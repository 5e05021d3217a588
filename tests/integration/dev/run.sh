#!/bin/bash
# ./dev run in a fresh directory, as a new user would: builds, makes its database, serves; the curl lines it prints
# work as pasted; Ctrl-C and SIGTERM stop app and database, a kill leaves neither behind; the data stays.
# Not one of ctest's: it builds everything. .ci/run calls it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
dir=$(mktemp -d /tmp/brio-dev.XXXXXX)
port=$((20000 + RANDOM % 12000))
unset DATABASE_URL AUTH_SECRET
trap 'clean' EXIT
trap 'exit 130' INT TERM

clean() {
    [ -z "${run:-}" ] || kill -TERM "$run" 2>/dev/null || true
    [ ! -e "$dir/.brio/pg" ] || "$dir/tools/pg.sh" remove "$dir/.brio/pg" || true
    rm -rf "$dir"
}

fail() { echo "run.sh: $1"; [ ! -e "$dir/out" ] || tail -n 30 "$dir/out"; exit 1; }

# Waits for a condition that is sure to come.
eventually() {
    local what=$1
    shift
    for _ in $(seq 3000); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    fail "never: $what"
}
ended() { ! kill -0 "$run" 2>/dev/null; }
serves() { ended || grep -q "serves on http://127.0.0.1:$port" out; }
nothing_runs() { ! curl -s -o /dev/null "http://127.0.0.1:$port/health" && [ ! -e "$(cat .brio/pg/home)/data/postmaster.pid" ]; }

# Starts ./dev run APP and waits until it serves. What runs in the background does not get Ctrl-C by itself.
begin() {
    env --default-signal=INT PORT=$port WORKERS=2 ./dev run "$@" >out 2>&1 &
    run=$!
    eventually "./dev run $* serves" serves
    ! ended || fail "./dev run $* ended"
    sleep 0.5 # the lines below that one
}

# finish SIGNAL STATUS
finish() {
    local status=0
    kill -"$1" "$run"
    wait "$run" 2>/dev/null || status=$?
    run=
    [ "$status" = "$2" ] || fail "after $1 it ends with status $status"
    eventually "after $1 all is stopped" nothing_runs
}

# says N TEXT: the N-th of the curl lines, pasted into a shell, prints TEXT.
says() {
    local line said
    line=$(grep '^curl ' out | sed -n "$1p")
    said=$(sh -c "$line" 2>/dev/null) || fail "it fails: $line"
    case $said in *"$2"*) ;; *) fail "$line: $said" ;; esac
}

git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t "$dir"
cd "$dir"

begin
[ "$(grep -c '^curl ' out)" = 3 ] || fail "there are not three curl lines"
says 1 '"email":"ada@example.com"'
says 2 '"title":"First"'
says 3 '"items":[{"id":1,"title":"First"'
finish INT 130

begin notes
says 3 '"items":[{"id":1,"title":"First"'
says 2 '"id":2'
finish TERM 143

begin
says 3 '"items":[{"id":2,'
finish KILL 137

begin hello
[ "$(curl -s "http://127.0.0.1:$port/json")" = '{"message":"Hello, World!"}' ] || fail "hello does not answer"
finish TERM 143

if ./dev run nothing >out 2>&1; then fail "an app that is none runs"; fi
grep -q 'no app nothing.*hello.*notes' out || fail "it does not name the apps"
