#!/bin/sh
# globals.sh ARCHIVE...: a worker's state hangs from one pointer. Every other writable global is listed in
# globals.txt with its reason.
set -eu
here=$(dirname "$0")
bad=0
for archive in "$@"; do
    room=$(basename "$archive" .a)
    room=${room#libbrio_}
    # Constants that hold addresses lie in .data.rel.ro, which is read-only once the program runs.
    found=$(objdump -t "$archive" 2>/dev/null | sed 's/ \.hidden / /' |
        awk -v room="$room" 'NF >= 5 && $(NF - 2) ~ /^\.t?(data|bss)/ && $(NF - 2) !~ /rel\.ro/ && $NF !~ /^[._*]/ {
            sub(/\.[0-9]+$/, "", $NF); print room ":" $NF }' | sort -u)
    for name in $found; do
        grep -q "^${name}[[:space:]]" "$here/globals.txt" || { echo "a writable global without a reason: $name" >&2; bad=1; }
    done
    # A reason for what is gone misleads.
    listed=$(cut -d' ' -f1 "$here/globals.txt" | grep "^$room:" || true)
    for name in $listed; do
        echo "$found" | grep -qx "$name" || { echo "globals.txt lists $name, which is gone" >&2; bad=1; }
    done
done
exit $bad
