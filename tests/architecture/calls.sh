#!/bin/sh
# Calls that no room makes: memory comes from arenas and blocks, text goes through bounded buffers, and
# nothing on the loop's thread may sleep. A file that is excused says why, here.
set -eu
cd "$(dirname "$0")/../.."
bad=0

# forbid 'CALLS' 'EXCUSED FILES (a regular expression)' 'what to use instead'
forbid() {
    found=$(grep -rnE "(^|[^A-Za-z0-9_>.\"])($1)\(" core http pg orm auth apps --include='*.[ch]' 2>/dev/null |
        grep -vE "^[^:]+:[0-9]+:[[:space:]]*(/?\*|//)" | grep -vE "^($2):" || true)
    [ -n "$found" ] || return 0
    echo "$3:" >&2
    echo "$found" >&2
    bad=1
}

# Blocks are core's to allocate; so is what lives as long as its process or its connection.
forbid 'malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|strdup|strndup|asprintf|vasprintf|alloca' \
    'core/src/[a-z_0-9]*\.c' 'memory comes from arenas, blocks, bufs and core/memory.h'
forbid 'strcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|strtok|scanf|sscanf|fscanf' \
    '-' 'bounded buffers (buf, str) hold text'
forbid 'atoi|atol|atoll|atof|strtod|setlocale' '-' 'numbers are read by scalar.h: no locale, no silent overflow'
# The log's writer is a thread of its own; names are resolved on one.
forbid 'sleep|usleep|nanosleep|system|popen|getaddrinfo|gethostbyname' \
    'core/src/(address|log)\.c' 'nothing on the loop may block: fiber_sleep_ms, offload'
forbid 'clock_gettime|gettimeofday|time|timespec_get|clock' \
    'core/src/clock\.c' 'tests say what time it is: core/clock.h'
exit $bad
