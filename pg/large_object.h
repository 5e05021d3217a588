/* Large objects: values of up to 4 TiB that the server keeps beside the tables, of which any part
 * is read and written by itself. A row holds an object's number, an `oid`.
 *
 *   pg_tx *tx;
 *   TRY(pg_begin(db, &tx));
 *   pg_lo *lo;
 *   TRY(pg_lo_open(tx, note.recording, PG_LO_READ, &lo));
 *   TRY(pg_lo_seek(lo, from));
 *   str bytes;
 *   TRY(pg_lo_read(lo, PG_LO_PIECE_BYTES, &bytes));
 *   …
 *   TRY(pg_lo_close(&lo));
 *   TRY(pg_commit(&tx));
 *
 * An opened one lives in its transaction: pg_lo_open takes a pg_tx, a pool does not compile, and it
 * is used before that transaction ends and while none is begun inside. It belongs to the running
 * scope too, which closes it. What changes an object is part of the transaction like any statement.
 *
 * Nothing of the server's knows which rows refer to an object: whoever deletes the last one unlinks
 * it. Values that are read whole, of up to some megabytes, are better off in a `bytea` column. */
#ifndef PG_LARGE_OBJECT_H
#define PG_LARGE_OBJECT_H

#include "pg/pg.h"

#define PG_LO_PIECE_BYTES 262144 /* what one statement carries at most */

typedef struct pg_lo pg_lo;

typedef enum pg_lo_mode {
    PG_LO_READ = 1, /* as it is when it is opened; also in a transaction that is read-only */
    PG_LO_WRITE,    /* reads and writes it, as it is at that moment */
} pg_lo_mode;

/* pg_lo_create(on, &id): a new one, empty, with a number that the server chooses.
 *   yields, fails  as pg_query */
#define pg_lo_create(on, id) pg_lo_create_on(PG_TARGET(on), (id))
YIELDS error pg_lo_create_on(pg_target on, pg_oid *id);
/* pg_lo_unlink(on, id): deletes it.
 *   fails  PG_UNDEFINED_OBJECT; as pg_query */
#define pg_lo_unlink(on, id) pg_lo_unlink_on(PG_TARGET(on), (id))
YIELDS error pg_lo_unlink_on(pg_target on, pg_oid id);

/* Opens it, at its first byte.
 *   fails  PG_UNDEFINED_OBJECT, PG_PERMISSION_DENIED; as pg_query */
YIELDS error pg_lo_open(pg_tx *tx, pg_oid id, pg_lo_mode mode, pg_lo **out);
/* Closes it. Nulls the pointer; NULL is allowed, and one that its transaction has closed already.
 *   fails  as pg_query */
YIELDS error pg_lo_close(pg_lo **owner);

/* The next bytes: as many as there are, up to `bytes_max` and up to PG_LO_PIECE_BYTES; none at the
 * end. They live until the next call. What was never written, but for what lies behind it, is zero.
 *   fails  as pg_query */
YIELDS error pg_lo_read(pg_lo *lo, size_t bytes_max, str *bytes);
/* Writes all of them, any number, over those that are there, and on past the end.
 *   fails  PG_INVALID_ARGUMENT for one that was opened to be read; PG_DATA_EXCEPTION past 4 TiB; as
 *          pg_query */
YIELDS error pg_lo_write(pg_lo *lo, str bytes);
/* The place, in bytes from the first, where the next call reads or writes; also behind the end.
 *   fails  PG_DATA_EXCEPTION past 4 TiB, and with it the transaction; as pg_query */
YIELDS error pg_lo_seek(pg_lo *lo, uint64_t offset);
/* That place, as of now. */
uint64_t pg_lo_tell(const pg_lo *lo);
/* How many bytes it has.
 *   fails  as pg_query */
YIELDS error pg_lo_size(pg_lo *lo, uint64_t *bytes);
/* Drops what is behind so many bytes, or adds zeros up to them. The place stays where it is.
 *   fails  as pg_lo_write */
YIELDS error pg_lo_truncate(pg_lo *lo, uint64_t bytes);

/* --- whole ones ------------------------------------------------------------------------------- */

/* Gives the next piece, of any size, which lives until it is called again; "" is the end. */
typedef YIELDS error pg_lo_source(void *arg, str *piece);
/* Takes the next piece, which lives until it returns. */
typedef YIELDS error pg_lo_sink(void *arg, str piece);

/* pg_lo_import(on, next, arg, &id): a new one of all that `next` gives. Happens as a whole: when it
 * fails there is none. In a transaction of its own, which is nested in `on` when that is one.
 *   yields  until it is written, and as `next` does
 *   fails   as `next`, pg_transaction and pg_lo_write */
#define pg_lo_import(on, ...) pg_lo_import_on(PG_TARGET(on), __VA_ARGS__)
YIELDS error pg_lo_import_on(pg_target on, pg_lo_source *next, void *arg, pg_oid *id);
/* pg_lo_export(on, id, take, arg): gives all of it to `take`, in pieces of PG_LO_PIECE_BYTES. In a
 * transaction as pg_lo_import, which may be one that only reads.
 *   fails  PG_UNDEFINED_OBJECT; as `take` and pg_transaction */
#define pg_lo_export(on, ...) pg_lo_export_on(PG_TARGET(on), __VA_ARGS__)
YIELDS error pg_lo_export_on(pg_target on, pg_oid id, pg_lo_sink *take, void *arg);

#endif
