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

# The page about the database names every function that its users call: all but those that a macro calls for them,
# whether it stands in a header's #define or makes a function of its own (PG_PARAM and its like).
absent=$(awk '
    function collect(line, pattern, into) {
        while (match(line, pattern)) {
            name = substr(line, RSTART, RLENGTH)
            sub(/\($/, "", name)
            into[name]
            line = substr(line, RSTART + RLENGTH)
        }
    }
    {
        line = $0
        while (comment || index(line, "/*")) {
            if (!comment) { kept = substr(line, 1, index(line, "/*") - 1); line = substr(line, index(line, "/*") + 2); comment = 1 }
            end = index(line, "*/")
            if (!end) { line = kept; kept = ""; break }
            line = kept substr(line, end + 2); kept = ""; comment = 0
        }
    }
    comment && line == "" { next }
    line ~ /^#define pg_/ { match(line, /pg_[a-z0-9_]+/); names[substr(line, RSTART, RLENGTH)]; macro = /\\$/
                            sub(/^#define [a-z0-9_]+/, "", line); collect(line, "pg_[a-z0-9_]+", inside); next }
    macro || line ~ /^#define|^[A-Z_]+\(/ { macro = line ~ /\\$/; collect(line, "pg_[a-z0-9_]+", inside); next }
    line !~ /^ *return / && line !~ /^typedef/ { collect(line, "pg_[a-z0-9_]+[(]", names) }
    END { for (name in names) if (!(name in inside) && name !~ /^pg_(param|decode)_/) print name }
' pg/*.h | sort | while read -r name; do grep -qw "$name" docs/pg.md || echo "$name"; done)
[ -z "$absent" ] || { echo "functions that docs/pg.md does not name:" >&2; echo "$absent" >&2; exit 1; }
