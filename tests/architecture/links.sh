#!/bin/sh
# links.sh PLAIN COMPRESSING: a program is linked with the libraries that what it uses leads to, and with no others.
# PLAIN has no layer http_compress, COMPRESSING has.
set -eu
bad=0
needs() { readelf -d "$1" | grep -q "NEEDED.*\[$2\.so"; }
for library in libzstd libbrotlienc libz; do
    ! needs "$1" $library || { echo "$1 is linked with $library, which it does not use" >&2; bad=1; }
    needs "$2" $library || { echo "$2 is not linked with $library" >&2; bad=1; }
done
exit $bad
