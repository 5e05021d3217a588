/* The error kinds of the database, and the table from SQLSTATE to kind. A code has a row of its own
 * or falls to its class (the first two characters); what neither knows is PG_FAILED. The tables are
 * scanned: this is the path of errors. */
#include "pg/error.h"

#include <string.h>

#define BUSY_MESSAGE   "The database is busy; try again."
#define AWAY_MESSAGE   "The database is not available; try again later."
#define BROKEN_MESSAGE "The server could not complete the request."

ERROR_KIND(PG_UNIQUE_VIOLATION, ERROR_CONFLICT, "This already exists.");
ERROR_KIND(PG_FOREIGN_KEY_VIOLATION, ERROR_CONFLICT,
           "Something this refers to is missing, or something refers to this.");
ERROR_KIND(PG_EXCLUSION_VIOLATION, ERROR_CONFLICT, "This conflicts with something that exists.");
ERROR_KIND(PG_NOT_NULL_VIOLATION, ERROR_INVALID, "A required value is missing.");
ERROR_KIND(PG_CHECK_VIOLATION, ERROR_INVALID, "A value is not allowed.");
ERROR_KIND(PG_DATA_EXCEPTION, ERROR_INVALID, "A value is out of range or malformed.");
ERROR_KIND(PG_SYNTAX, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_UNDEFINED_TABLE, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_UNDEFINED_COLUMN, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_UNDEFINED_FUNCTION, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_UNDEFINED_OBJECT, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_PERMISSION_DENIED, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_READ_ONLY, ERROR_UNAVAILABLE, "The database accepts no changes now.");
ERROR_KIND(PG_IN_FAILED_TRANSACTION, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_ROLLED_BACK, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_FAILED, ERROR_INTERNAL, BROKEN_MESSAGE);

ERROR_KIND(PG_SERIALIZATION_FAILURE, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_DEADLOCK, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_STATEMENT_STALE, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_LOCK_NOT_AVAILABLE, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_QUERY_CANCELED, ERROR_TIMED_OUT, "The request took too long.");
ERROR_KIND(PG_OUT_OF_RESOURCES, ERROR_UNAVAILABLE, BUSY_MESSAGE);

ERROR_KIND(PG_CONNECT_FAILED, ERROR_UNAVAILABLE, AWAY_MESSAGE);
ERROR_KIND(PG_CONNECTION_LOST, ERROR_UNAVAILABLE, AWAY_MESSAGE);
ERROR_KIND(PG_COMMIT_UNKNOWN, ERROR_UNAVAILABLE,
           "The database was lost while saving: the change may or may not have been made.");
ERROR_KIND(PG_ADMIN_SHUTDOWN, ERROR_UNAVAILABLE, AWAY_MESSAGE);
ERROR_KIND(PG_CANNOT_CONNECT_NOW, ERROR_UNAVAILABLE, AWAY_MESSAGE);
ERROR_KIND(PG_AUTH_FAILED, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_PROTOCOL_VIOLATION, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_CONNINFO_INVALID, ERROR_INVALID, "The database's address is not valid.");

ERROR_KIND(PG_TYPE_MISMATCH, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_INVALID_ARGUMENT, ERROR_INTERNAL, BROKEN_MESSAGE);
ERROR_KIND(PG_MESSAGE_TOO_LARGE, ERROR_TOO_LARGE, "The request is too large for the database.");
ERROR_KIND(PG_NESTED_ACQUIRE, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_POOL_TIMED_OUT, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_POOL_FULL, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_POOL_OVERLOADED, ERROR_UNAVAILABLE, BUSY_MESSAGE);
ERROR_KIND(PG_POOL_CLOSED, ERROR_UNAVAILABLE, AWAY_MESSAGE);

typedef struct state_kind {
    char state[6]; /* five characters, or the two of a class */
    const error_kind *kind;
} state_kind;

static const state_kind CODES[] = {
    { "08P01", &PG_PROTOCOL_VIOLATION },
    { "23001", &PG_FOREIGN_KEY_VIOLATION },
    { "23502", &PG_NOT_NULL_VIOLATION },
    { "23503", &PG_FOREIGN_KEY_VIOLATION },
    { "23505", &PG_UNIQUE_VIOLATION },
    { "23514", &PG_CHECK_VIOLATION },
    { "23P01", &PG_EXCLUSION_VIOLATION },
    { "25006", &PG_READ_ONLY },
    { "25P02", &PG_IN_FAILED_TRANSACTION },
    { "25P03", &PG_CONNECTION_LOST },
    { "25P04", &PG_QUERY_CANCELED },
    { "3D000", &PG_CONNECT_FAILED },
    { "3F000", &PG_UNDEFINED_OBJECT },
    { "40001", &PG_SERIALIZATION_FAILURE },
    { "40P01", &PG_DEADLOCK },
    { "42501", &PG_PERMISSION_DENIED },
    { "42703", &PG_UNDEFINED_COLUMN },
    { "42704", &PG_UNDEFINED_OBJECT },
    { "42883", &PG_UNDEFINED_FUNCTION },
    { "42P01", &PG_UNDEFINED_TABLE },
    { "42P05", &PG_FAILED }, /* a prepared statement's name is taken: nobody's SQL is wrong */
    { "55P03", &PG_LOCK_NOT_AVAILABLE },
    { "57014", &PG_QUERY_CANCELED },
    { "57P01", &PG_ADMIN_SHUTDOWN },
    { "57P02", &PG_ADMIN_SHUTDOWN },
    { "57P03", &PG_CANNOT_CONNECT_NOW },
    { "57P04", &PG_CONNECT_FAILED },
    { "57P05", &PG_CONNECTION_LOST },
};

static const state_kind CLASSES[] = {
    { "08", &PG_CONNECTION_LOST }, { "22", &PG_DATA_EXCEPTION },   { "28", &PG_AUTH_FAILED },
    { "42", &PG_SYNTAX },          { "53", &PG_OUT_OF_RESOURCES },
};

const error_kind *pg_error_kind(str sqlstate)
{
    if (sqlstate.len != 5)
        return &PG_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++) {
        if (memcmp(CODES[i].state, sqlstate.ptr, 5) == 0)
            return CODES[i].kind;
    }
    for (size_t i = 0; i < ARRAY_LEN(CLASSES); i++) {
        if (memcmp(CLASSES[i].state, sqlstate.ptr, 2) == 0)
            return CLASSES[i].kind;
    }
    return &PG_FAILED;
}

const pg_report *pg_error_report(error e)
{
    const error_detail *detail = error_detail_of(e);
    while (detail && !detail->report)
        detail = detail->cause;
    return detail ? detail->report : NULL;
}
