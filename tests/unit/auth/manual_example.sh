#!/bin/sh
# manual_example.sh CC BUILD: the program in docs/auth.md compiles as it stands, without a warning.
set -eu
example=$2/manual_example_auth.c
awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' docs/auth.md >"$example"
grep -q http_main "$example" || { echo "docs/auth.md has no program" >&2; exit 1; }
$1 -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wno-missing-field-initializers -Werror -fsyntax-only \
    -I. -I"$2/include" "$example"
