/* What was said about a connection: one place for each of libpq's parameters, and where its value
 * comes from. The connection string comes first, then the service it names, then the environment.
 *
 * Error texts name a parameter and its place, never a value: it may be the password. */
#ifndef PG_SRC_PARAMETERS_H
#define PG_SRC_PARAMETERS_H

#include "core/arena.h"
#include "pg/error.h"

#define PG_PARAMETER_BYTES_MAX 16384 /* of the connection string, and of each variable */

/* All that libpq knows up to PostgreSQL 18, but for what only GSSAPI, OAuth and its own debugging
 * have: those names are known too, and refused. */
typedef enum pg_parameter {
    PG_PARAM_SERVICE,
    PG_PARAM_SERVICE_FILE,
    PG_PARAM_HOST,
    PG_PARAM_HOST_ADDRESS,
    PG_PARAM_PORT,
    PG_PARAM_USER,
    PG_PARAM_PASSWORD,
    PG_PARAM_PASSFILE,
    PG_PARAM_DATABASE,
    PG_PARAM_APPLICATION_NAME,
    PG_PARAM_FALLBACK_APPLICATION_NAME,
    PG_PARAM_OPTIONS,
    PG_PARAM_CLIENT_ENCODING,
    PG_PARAM_REPLICATION,
    PG_PARAM_CONNECT_TIMEOUT,
    PG_PARAM_KEEPALIVES,
    PG_PARAM_KEEPALIVES_IDLE,
    PG_PARAM_KEEPALIVES_INTERVAL,
    PG_PARAM_KEEPALIVES_COUNT,
    PG_PARAM_TCP_USER_TIMEOUT,
    PG_PARAM_TARGET_SESSION_ATTRS,
    PG_PARAM_LOAD_BALANCE_HOSTS,
    PG_PARAM_REQUIRE_PEER,
    PG_PARAM_REQUIRE_AUTH,
    PG_PARAM_CHANNEL_BINDING,
    PG_PARAM_GSSENCMODE,
    PG_PARAM_SSLMODE,
    PG_PARAM_SSLNEGOTIATION,
    PG_PARAM_SSLCOMPRESSION,
    PG_PARAM_SSLCERT,
    PG_PARAM_SSLKEY,
    PG_PARAM_SSLPASSWORD,
    PG_PARAM_SSLCERTMODE,
    PG_PARAM_SSLROOTCERT,
    PG_PARAM_SSLCRL,
    PG_PARAM_SSLCRLDIR,
    PG_PARAM_SSLSNI,
    PG_PARAM_SSL_MIN_PROTOCOL_VERSION,
    PG_PARAM_SSL_MAX_PROTOCOL_VERSION,
    PG_PARAM_MIN_PROTOCOL_VERSION,
    PG_PARAM_MAX_PROTOCOL_VERSION,
    /* Only as variables, each sent to the server as a setting of the session. */
    PG_PARAM_DATESTYLE,
    PG_PARAM_TIMEZONE,
    PG_PARAM_GEQO,
    PG_PARAM_COUNT,
} pg_parameter;

typedef enum pg_origin {
    PG_ORIGIN_NONE = 0,
    PG_ORIGIN_TEXT,     /* the connection string; `position` is the byte, from 1 */
    PG_ORIGIN_SERVICE,  /* the service file; `position` is the line, from 1 */
    PG_ORIGIN_VARIABLE, /* the environment */
} pg_origin;

typedef struct pg_given {
    str value; /* STR_NONE: not given */
    pg_origin origin;
    size_t position;
} pg_given;

/* Zeroed: nothing is given. */
typedef struct pg_parameters {
    pg_given given[PG_PARAM_COUNT];
} pg_parameters;

/* Sets a parameter by its name, as `given` says; of the connection string the last counts, of what
 * comes after it the first.
 *   fails  PG_CONNINFO_INVALID: a name that is unknown, or not supported */
error pg_parameters_set(pg_parameters *p, str name, pg_given given);
/* Fills what is not given from the variables; an empty one is as good as none.
 *   fails  PG_CONNINFO_INVALID: longer than PG_PARAMETER_BYTES_MAX; OUT_OF_MEMORY
 *   owns   the values live in `a` */
error pg_parameters_fill(pg_parameters *p, arena *a);
/* A variable's text, copied into `a`; STR_NONE when it is not set or empty.
 *   fails  as above */
error pg_parameters_variable(arena *a, const char *name, str *out);

/* Empty when it is not given, or given empty. */
static inline str pg_parameters_get(const pg_parameters *p, pg_parameter which)
{
    const str value = p->given[which].value;
    return value.len > 0 ? value : STR("");
}
/* Its name; NULL of those that are only variables. */
const char *pg_parameters_name(pg_parameter which);
/* Refuses its value. */
error pg_parameters_refuse(const pg_parameters *p, pg_parameter which, const char *why);

#endif
