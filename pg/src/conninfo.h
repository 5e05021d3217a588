/* Where a database is and who asks: a connection string, what PG* variables say where it is silent,
 * and libpq's defaults where they are too. */
#ifndef PG_SRC_CONNINFO_H
#define PG_SRC_CONNINFO_H

#include "core/arena.h"
#include "pg/error.h"

#define PG_CONNINFO_BYTES_MAX 16384 /* of the string, and of each variable */

/* The numbers of libpq's words, the least strict first. TLS does not exist yet, so only the first
 * three are ever parsed, and all three mean a plain connection. */
typedef enum pg_sslmode {
    PG_SSLMODE_DISABLE,
    PG_SSLMODE_ALLOW,
    PG_SSLMODE_PREFER, /* the default */
    PG_SSLMODE_REQUIRE,
    PG_SSLMODE_VERIFY_CA,
    PG_SSLMODE_VERIFY_FULL,
} pg_sslmode;

/* None of the slices holds a NUL. */
typedef struct pg_conninfo {
    str host; /* a name, an IP address, or the absolute directory of a Unix socket */
    uint16_t port;
    str user;
    str password; /* empty: none is given */
    str database;
    str application_name;        /* empty: none is given */
    str options;                 /* the server's command-line options; empty: none are given */
    uint32_t connect_timeout_ms; /* 0: not limited here */
    pg_sslmode sslmode;
} pg_conninfo;

/* Whether the host is the directory of a Unix socket. */
static inline bool pg_conninfo_is_unix(const pg_conninfo *info)
{
    return str_starts_with(info->host, STR("/"));
}

/* Reads a connection string.
 *   text   "postgresql://user:password@host:port/database?parameter=value", all parts optional and
 *          percent-encoded, [v6] as a host; also postgres://. Or pairs: "host=db dbname='a b'".
 *          STR_NONE or "": all from the environment. The last of two equal parameters counts
 *   from   PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGAPPNAME PGOPTIONS PGCONNECT_TIMEOUT
 *          PGSSLMODE for what it leaves out; then /var/run/postgresql, 5432, the name of the
 *          process's user, and the user's name as the database
 *   fails  PG_CONNINFO_INVALID, whose text names the parameter and its place, never a value:
 *          malformed text, a parameter that is unknown or not supported (several hosts, TLS);
 *          OUT_OF_MEMORY
 *   owns   the slices live in `a` */
error pg_conninfo_parse(arena *a, str text, pg_conninfo *out);

#endif
