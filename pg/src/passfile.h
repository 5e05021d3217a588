/* A password file (.pgpass): lines of host:port:database:user:password. */
#ifndef PG_SRC_PASSFILE_H
#define PG_SRC_PASSFILE_H

#include "core/arena.h"
#include "core/error.h"

typedef struct pg_passfile_key {
    str host; /* "localhost" for the default directory of Unix sockets */
    uint16_t port;
    str database;
    str user;
} pg_passfile_key;

/* The password of the first line that fits, STR_NONE without one. A field of "*" fits all; in the
 * others, and in the password, a backslash takes the next character as it is. Empty lines and those
 * that begin with '#' say nothing.
 *   fails  OUT_OF_MEMORY
 *   owns   the password lives in `a` */
error pg_passfile_find(str text, const pg_passfile_key *key, arena *a, str *password);

#endif
