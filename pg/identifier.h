/* The numbers that PostgreSQL gives to its own things: transactions, places in its write-ahead log,
 * versions of rows. (An oid, xid or cid of 32 bits is read as int8; see pg_param_xid in pg/type.h.)
 *
 *   pg_lsn written;
 *   TRY(pg_query(db, &rows, "select pg_current_wal_lsn()"));
 *   TRY(pg_get(&rows, 0, 0, &written));
 *   // and on a standby:
 *   TRY(pg_query(standby, &rows, "select pg_last_wal_replay_lsn() >= $1", written));
 *
 * Every format function gives what the server writes; the text lives in `a`. Every parse function
 * reads the whole of such a text, returns false on anything else, and then leaves `*out` alone. */
#ifndef PG_IDENTIFIER_H
#define PG_IDENTIFIER_H

#include "core/arena.h"
#include "core/scalar.h"

/* A transaction, which no later one is confused with: what pg_current_xact_id() gives. */
typedef struct pg_xid8 {
    uint64_t value;
} pg_xid8;

/* A place in the write-ahead log: bytes from its beginning. Those of one server are in order. */
typedef struct pg_lsn {
    uint64_t position;
} pg_lsn;

/* Where a version of a row is in its table: ctid. */
typedef struct pg_tid {
    uint32_t block;
    uint16_t offset; /* in the block, from 1 */
} pg_tid;

SCALAR_OPTIONAL(pg_xid8, pg_xid8);
SCALAR_OPTIONAL(pg_lsn, pg_lsn);
SCALAR_OPTIONAL(pg_tid, pg_tid);
SCALAR_LIST(pg_xid8, pg_xid8);
SCALAR_LIST(pg_lsn, pg_lsn);
SCALAR_LIST(pg_tid, pg_tid);

/* "735". */
str pg_xid8_format(arena *a, const pg_xid8 *xid);
bool pg_xid8_parse(str text, pg_xid8 *out);
/* "16/B374D848": the upper and the lower 32 bits. */
str pg_lsn_format(arena *a, const pg_lsn *lsn);
bool pg_lsn_parse(str text, pg_lsn *out);
/* "(0,1)". */
str pg_tid_format(arena *a, const pg_tid *tid);
bool pg_tid_parse(str text, pg_tid *out);

#endif
