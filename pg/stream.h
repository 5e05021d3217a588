/* A result as it comes: one statement, whose rows are handed on while the server sends them.
 *
 *   pg_stream *s;
 *   TRY(pg_stream_open(db, &s, "select id, title from notes"));
 *   for (;;) {
 *       pg_rows rows;                       // those that have come meanwhile
 *       TRY(pg_stream_next(s, &rows));
 *       if (rows.count == 0)
 *           break;
 *       …
 *   }
 *   TRY(pg_stream_close(&s));
 *
 * Who takes rows slower than they come holds the server up: past some hundred KiB the socket is not
 * read any more. So memory stays the same for ten rows and for ten million.
 *
 * pg_cursor reads the same result in pieces that are asked for one by one. Take a stream to read a
 * result to its end: it needs no transaction, and no round trip a piece. Take a cursor where
 * statements run between the pieces, or where a transaction goes on after a part of the rows.
 *
 * A stream belongs to the running scope and has a connection to itself while it lasts. */
#ifndef PG_STREAM_H
#define PG_STREAM_H

#include "pg/pg.h"

typedef struct pg_stream pg_stream;

/* Runs a statement up to its first rows: on a pool as a transaction of its own, on a connection
 * leased for it; in a transaction as part of that, where nothing else may run until it is closed.
 *   yields  until they are there, or it has ended
 *   fails   as pg_query */
#define pg_stream_open(on, stream, sql, ...) \
    pg_stream_open_values(PG_TARGET(on), PG_SQL(sql), PG_VALUES(__VA_ARGS__), (stream))
YIELDS error pg_stream_open_values(pg_target on, pg_sql sql, pg_values values, pg_stream **out);
/* The rows that have come, and none at the end. They live until the next call or the stream's end.
 * An error of the server comes after the rows before it, and again with each further call.
 *   yields  until there are some
 *   fails   as pg_query */
YIELDS error pg_stream_next(pg_stream *stream, pg_rows *rows);
/* Ends it. Nulls the pointer; NULL is allowed.
 *
 * Before its last row: on a pool the statement is canceled and its connection back in the pool when
 * the server has ended it, for which nobody waits; whether a statement that changes something was
 * carried out is not known then. In a transaction, which a cancel would fail, the rest is read and
 * dropped. The scope's end, too, cancels, and a transaction has failed with it.
 *   yields  in a transaction, and on pg_read_only, until the statement has ended
 *   fails   as pg_stream_next, and again if that has said so; as pg_commit on pg_read_only */
YIELDS error pg_stream_close(pg_stream **owner);

#endif
