#!/bin/sh
# Runs a test against a PostgreSQL 18 of its own, whose programs BRIO_TEST_PG18 names: on_18.sh PROGRAM
set -eu
if [ -z "${BRIO_TEST_PG:-}" ] || [ -z "${BRIO_TEST_PG18:-}" ]; then
    echo "skipped: BRIO_TEST_PG or BRIO_TEST_PG18 is not set" >&2
    exit 77
fi
dir=$(mktemp -d /tmp/brio-on18.XXXXXX)
trap '"$BRIO_TEST_PG" remove "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
export BRIO_PG_BIN="$BRIO_TEST_PG18"
DATABASE_URL=$("$BRIO_TEST_PG" start "$dir" --throwaway --parent $$)
DATABASE_URL_TCP=$("$BRIO_TEST_PG" url "$dir" tcp)
export DATABASE_URL DATABASE_URL_TCP
"$@"
