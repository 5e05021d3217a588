#!/bin/sh
# Every function of a public header has its comment: right before it, or before the neighbours it stands among
# without an empty line between. A macro's or a type's comment is not one for the functions behind it.
set -eu
cd "$(dirname "$0")/../.."
found=$(for header in core/*.h http/*.h pg/*.h orm/*.h auth/*.h; do
    [ ! -f "$header" ] || awk '
        function braces(line) { return gsub(/\{/, "", line) - gsub(/\}/, "", line) }
        comment          { if (/\*\//) comment = 0; next }
        macro            { macro = /\\$/; next }
        depth == 0 && /^$/ { documented = 0; next }
        depth == 0 && /^\/\*/ { documented = 1; comment = !/\*\//; next }
        /^#/             { macro = /\\$/; next }
        depth == 0 && /^[A-Za-z_].*[a-z0-9_]\(/ && !/^(typedef|static_assert|_Static_assert|[A-Z0-9_]+\()/ {
            if (!documented) print FILENAME ":" FNR ": " $0
        }
                         { before = depth; line = $0; gsub(/\/\*.*\*\//, "", line); depth += braces(line)
                           if (before > 0 && depth == 0 && /^\} *[a-z]/) documented = 0 }
    ' "$header"
done)
[ -z "$found" ] || { echo "functions without a comment:" >&2; echo "$found" >&2; exit 1; }
