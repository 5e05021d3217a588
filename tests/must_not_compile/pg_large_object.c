/*
 * pg_lo -- a large object is opened in a transaction and nowhere else: the compiler must see to it.
 *
 * Each WRONG_… is one mistake; without any of them the file is a right program.
 */
#include "pg/large_object.h"

error first_byte(pg_pool *db, pg_tx *tx, pg_oid id, str *out);

error first_byte(pg_pool *db, pg_tx *tx, pg_oid id, str *out)
{
    pg_lo *lo;
#ifdef WRONG_POOL
    TRY(pg_lo_open(db, id, PG_LO_READ, &lo));
#endif
#ifdef WRONG_TARGET
    TRY(pg_lo_open(pg_read_only(db), id, PG_LO_READ, &lo));
#endif
    TRY(pg_lo_open(tx, id, PG_LO_READ, &lo));
#ifdef WRONG_IGNORED
    pg_lo_seek(lo, 1);
#endif
    TRY(pg_lo_read(lo, 1, out));
    TRY(pg_lo_close(&lo));
    return pg_lo_unlink(db, id);
}
