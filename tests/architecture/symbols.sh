#!/bin/sh
# symbols.sh ARCHIVE...: every symbol that a libbrio_<room>.a defines for others begins with that room's prefix.
# In core the noun is the prefix; this is the one table of its nouns.
set -eu
core='address|arena|backend|base|base64|base64url|block|buf|busy|bytes|clock|command|config|crash|digest|duplex|duration|error|fault|fiber|fibers
float8|fuse|hash|int64|json|ledger|list|listener|log|loop|memory|metrics|no_yield|offload|page|pow10|random|scalar|scope|shape|stack
str|stream|time|timer|timestamptz|tls|uint64|utf8|uuid|wait_group|worker'
# Words of the language, as it were: what core reports with, and what every room returns.
core_words='invariant_failed|unreachable_reached|canceled|timed_out|out_of_memory|system_failed'
bad=0

prefixes() {
    case $1 in
        core) echo "$core" | tr '\n' '|' | sed 's/|$//' ;;
        *) echo "$1" ;;
    esac
}

for archive in "$@"; do
    room=$(basename "$archive" .a)
    room=${room#libbrio_}
    allowed="($(prefixes "$room"))(_.*)?"
    [ "$room" != core ] || allowed="$allowed|$core_words"
    # A room's constants are upper case with the same prefix: PG_UNIQUE_VIOLATION.
    found=$(nm -g --defined-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u |
        grep -viE "^($allowed)$" | grep -vE '^(__asan_|__odr_asan|__gcov_|_?__emutls)' || true)
    if [ -n "$found" ]; then
        echo "$(basename "$archive") defines names outside its prefix:" >&2
        echo "$found" >&2
        bad=1
    fi
    # Names that belong to other libraries, and to the next C standard (but for two of core's nouns).
    foreign=$(nm -g --defined-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u |
        grep -E '^(json_object_|json_array_|timer_(create|delete|settime|gettime)$|http_parser_|(str|mem|is|to)[a-z]|.*_t$)|^pg_.*encoding' | grep -vE '^(stream|memory)_' || true)
    if [ -n "$foreign" ]; then
        echo "$(basename "$archive") defines names that other libraries own:" >&2
        echo "$foreign" >&2
        bad=1
    fi
done
exit $bad
