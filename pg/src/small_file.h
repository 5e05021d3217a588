/* The small files that say how to connect: pg_service.conf, .pgpass. */
#ifndef PG_SRC_SMALL_FILE_H
#define PG_SRC_SMALL_FILE_H

#include "core/arena.h"
#include "core/error.h"

#define PG_SMALL_FILE_BYTES_MAX 262144

typedef enum pg_file_state {
    PG_FILE_READ = 1,
    PG_FILE_MISSING,
    PG_FILE_NOT_REGULAR,
    PG_FILE_EXPOSED, /* others than its owner may read or write it */
    PG_FILE_UNREADABLE,
    PG_FILE_TOO_LARGE,
} pg_file_state;

/* Reads the file into `a`. `is_secret`: only if nobody but its owner can. Blocks: for start-up.
 *   fails  OUT_OF_MEMORY; what else kept it from being read is in `*state`, and `*out` is empty */
error pg_small_file_read(arena *a, str path, bool is_secret, pg_file_state *state, str *out);
/* "NAME" in the home directory: $HOME, else that of the process's user; STR_NONE without one. */
error pg_small_file_at_home(arena *a, const char *name, str *out);
/* Whether there is something at the path. */
bool pg_small_file_exists(str path);

#endif
