/* What can go wrong with a database, as error kinds: what the server reports by its SQLSTATE, and
 * what the client finds out itself. The detail of a server's error (error_detail_of) carries the
 * SQLSTATE and the violated constraint's name.
 *
 * The log text of a server's error never holds values of a statement's parameters or of rows: the
 * parts of it in which PostgreSQL quotes data are left out. */
#ifndef PG_ERROR_H
#define PG_ERROR_H

#include "core/error.h"

/* --- the statement and its data --------------------------------------------------------------- */

extern const error_kind PG_UNIQUE_VIOLATION;      /* CONFLICT: 23505 */
extern const error_kind PG_FOREIGN_KEY_VIOLATION; /* CONFLICT: 23503, 23001 */
extern const error_kind PG_EXCLUSION_VIOLATION;   /* CONFLICT: 23P01 */
extern const error_kind PG_NOT_NULL_VIOLATION;    /* INVALID: 23502 */
extern const error_kind PG_CHECK_VIOLATION;       /* INVALID: 23514 */
extern const error_kind PG_DATA_EXCEPTION;        /* INVALID: class 22 */
extern const error_kind PG_SYNTAX;                /* INTERNAL: class 42 but for what follows */
extern const error_kind PG_UNDEFINED_TABLE;       /* INTERNAL: 42P01 */
extern const error_kind PG_UNDEFINED_COLUMN;      /* INTERNAL: 42703 */
extern const error_kind PG_UNDEFINED_FUNCTION;    /* INTERNAL: 42883 */
extern const error_kind PG_UNDEFINED_OBJECT;      /* INTERNAL: 42704, 3F000 */
extern const error_kind PG_PERMISSION_DENIED;     /* INTERNAL: 42501, the role lacks a right */
extern const error_kind PG_ROLLED_BACK;           /* INTERNAL: a commit that the server undid */
extern const error_kind PG_READ_ONLY;             /* UNAVAILABLE: 25006, a standby or lane */
extern const error_kind PG_IN_FAILED_TRANSACTION; /* INTERNAL: 25P02 */
extern const error_kind PG_FAILED;                /* INTERNAL: any other SQLSTATE */

/* --- worth another try ------------------------------------------------------------------------ */

extern const error_kind PG_SERIALIZATION_FAILURE; /* UNAVAILABLE: 40001, retryable */
extern const error_kind PG_DEADLOCK;              /* UNAVAILABLE: 40P01, retryable */
extern const error_kind PG_STATEMENT_STALE;       /* UNAVAILABLE: retryable; see pg_transaction */
extern const error_kind PG_LOCK_NOT_AVAILABLE;    /* UNAVAILABLE: 55P03 */
extern const error_kind PG_QUERY_CANCELED;        /* TIMED_OUT: 57014, 25P04 */
extern const error_kind PG_OUT_OF_RESOURCES;      /* UNAVAILABLE: class 53, the server's limits */

/* --- the connection --------------------------------------------------------------------------- */

extern const error_kind PG_CONNECT_FAILED;     /* UNAVAILABLE: nobody there; 3D000, 57P04 */
extern const error_kind PG_CONNECTION_LOST;    /* UNAVAILABLE: class 08, 25P03, 57P05 */
extern const error_kind PG_COMMIT_UNKNOWN;     /* UNAVAILABLE: lost before a commit was answered */
extern const error_kind PG_ADMIN_SHUTDOWN;     /* UNAVAILABLE: 57P01, 57P02 */
extern const error_kind PG_CANNOT_CONNECT_NOW; /* UNAVAILABLE: 57P03, starting or stopping */
extern const error_kind PG_AUTH_FAILED; /* INTERNAL: class 28, or the server's proof is wrong */
extern const error_kind
    PG_PROTOCOL_VIOLATION;                   /* INTERNAL: 08P01, or a message that makes no sense */
extern const error_kind PG_CONNINFO_INVALID; /* INVALID: the connection string */

/* --- the client ------------------------------------------------------------------------------- */

extern const error_kind PG_TYPE_MISMATCH;    /* INTERNAL: a column is not what its reader expects */
extern const error_kind PG_INVALID_ARGUMENT; /* INTERNAL: a NUL in SQL or a name, too many values */
extern const error_kind PG_MESSAGE_TOO_LARGE; /* TOO_LARGE: more than a message may hold */
extern const error_kind PG_NESTED_ACQUIRE;  /* UNAVAILABLE: it holds a connection and wants more */
extern const error_kind PG_POOL_TIMED_OUT;  /* UNAVAILABLE: no connection came free in time */
extern const error_kind PG_POOL_FULL;       /* UNAVAILABLE: PG_WAITING_MAX fibers wait already */
extern const error_kind PG_POOL_OVERLOADED; /* UNAVAILABLE: dropped from an overloaded line */
extern const error_kind PG_POOL_CLOSED;     /* UNAVAILABLE */

/* The kind of a five-character SQLSTATE; PG_FAILED for everything unknown or malformed. */
const error_kind *pg_error_kind(str sqlstate);

/* All that the server said about an error; what it left out is STR_NONE. Values of parameters and
 * rows may stand in it: show it to those who may see them. */
typedef struct pg_report {
    str severity; /* never translated: "ERROR", "FATAL", "NOTICE"; as shown where that is all */
    str severity_shown; /* in the server's language */
    str sqlstate;
    str message;
    str detail;
    str hint;
    str position;          /* in the statement, counted in characters from 1 */
    str internal_position; /* in `internal_query` */
    str internal_query;    /* that a function ran */
    str where;             /* the call stack */
    str schema;
    str table;
    str column;
    str data_type;
    str constraint;
    str file; /* of the server's source */
    str line;
    str routine;
} pg_report;

/* The server's report of the running fiber's last error, or of its nearest cause that has one; NULL
 * when the server did not speak. Lives as long as the fiber's arena. */
const pg_report *pg_error_report(error e);

/* Whether running the whole transaction again may succeed where it failed with `e`. */
static inline bool pg_error_retryable(error e)
{
    return error_is(e, &PG_SERIALIZATION_FAILURE) || error_is(e, &PG_DEADLOCK) ||
           error_is(e, &PG_STATEMENT_STALE);
}

#endif
