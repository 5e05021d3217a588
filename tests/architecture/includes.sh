#!/bin/sh
# The include edges that the architecture allows: room by room, and no room's src/ from outside.
set -eu
cd "$(dirname "$0")/../.."
bad=0

# edges ROOM 'ALLOWED ROOMS': every "room/header.h" included in ROOM is of an allowed room.
edges() {
    room=$1
    allowed=$(echo "$2" | tr ' ' '|')
    [ -d "$room" ] || return 0
    found=$(grep -rnE '^#include [<"](brio/)?(core|http|pg|orm|auth|apps)[/.]' "$room" --include='*.[ch]' |
        grep -vE "#include [<\"](brio/)?($allowed)[/.]" || true)
    if [ -n "$found" ]; then
        echo "$room may include only $2:" >&2
        echo "$found" >&2
        bad=1
    fi
}

edges core 'core'
edges http 'core http'
edges pg 'core pg'
edges orm 'core pg orm'
edges auth 'core http auth'

foreign=$(grep -rnE '^#include ".*/src/' core http pg orm auth apps --include='*.[ch]' 2>/dev/null || true)
if [ -n "$foreign" ]; then
    echo "no room includes another's src/:" >&2
    echo "$foreign" >&2
    bad=1
fi
# Other projects' headers stand only in the files that wrap them.
wrapped=$(grep -rnE '^#include <(openssl/|argon2|zstd|brotli/|zlib)' core http pg orm auth apps --include='*.[ch]' |
    grep -vE '^(core/src/(digest|tls(_config|_kernel|_private)?)|http/src/encode_(br|gzip|zstd)|pg/src/(scram|md5)|orm/src/migrate_file|auth/src/(kdf|jws|mac|password))\.[ch]:' || true)
if [ -n "$wrapped" ]; then
    echo "a library's header outside the files that wrap it, which this script lists:" >&2
    echo "$wrapped" >&2
    bad=1
fi
exit $bad
