/* Rows as JSON: a result's bytes straight into a document, without a struct between.
 *
 *   pg_rows rows;
 *   str body;
 *   TRY(pg_query(db, &rows, PG_AS_JSON("select id, title, created_at from notes")));
 *   TRY(pg_rows_json(&rows, &body));
 *
 *   [{"id":1,"title":"…","created_at":"2026-11-21T20:10:03Z"},…]
 *
 * A row is an object, whose members are the columns in their order. Columns come in the formats
 * that are nearest to JSON, which is what PG_AS_JSON asks for: most are checked and copied.
 *
 *   int2, int4, int8, oid, numeric, float4, float8   a number, of the server's digits: a numeric
 *                     has all of its own; NaN and infinities are null
 *   bool              true, false
 *   json, jsonb       the document as it is
 *   text, varchar, …  a string
 *   bytea             a string of base64
 *   timestamptz       "2026-11-21T20:10:03.5Z", in UTC
 *   timestamp, date   "2026-11-21T20:10:03.5", "2026-11-21"
 *   all others        a string of the server's text: uuid, time, interval, inet, enums, …; also
 *                     composites and ranges
 *   arrays of these   a list, of lists where there are several dimensions; but those of a type
 *                     that a database has made are a string too (cast them: labels::text[])
 *   NULL              null
 *
 * That is what shapes write (core/json.h), whatever the session's DateStyle and TimeZone are: years
 * before 1 as ISO 8601 counts them ("-0043-03-15" is 44 BC), "infinity" and "-infinity".
 *
 * What a server sends is checked, so that what is written is valid JSON, or nothing is: text that
 * is not UTF-8 is mended with U+FFFD, all else that does not fit its type is PG_TYPE_MISMATCH. */
#ifndef PG_JSON_H
#define PG_JSON_H

#include "core/buf.h"
#include "pg/pg.h"

#define PG_JSON_BYTES_MAX   ((size_t)16 << 20) /* of pg_rows_json and of a piece */
#define PG_JSON_COLUMNS_MAX 1664               /* the server has no more */

/* All rows as one list, "[]" of none. For http_reply_bytes: it lives in the fiber's arena.
 *   fails  PG_INVALID_ARGUMENT: two columns of one name; rows that were not asked for as JSON
 *          PG_TYPE_MISMATCH: bytes that are no value of their column's type; a document that
 *          json_is_valid does not take
 *          BUF_FULL: more than PG_JSON_BYTES_MAX */
error pg_rows_json(const pg_rows *rows, str *out);

/* For results of any size, piece by piece as a stream or a cursor gives them, in the memory of one:
 *
 *   pg_stream *s;
 *   pg_rows rows;
 *   str piece;
 *   pg_json *pieces = pg_json_new();
 *   TRY(pg_stream_open(db, &s, PG_AS_JSON("select id, title from notes")));
 *   TRY(http_reply_start(req, 200, STR("application/json")));
 *   do {
 *       TRY(pg_stream_next(s, &rows));
 *       TRY(pg_json_next(pieces, &rows, &piece));
 *       TRY(http_reply_write(req, piece));
 *   } while (rows.count > 0);
 *   return pg_stream_close(&s);
 *
 * What the client does not take holds up the stream, and so the server. */
typedef struct pg_json pg_json;

/* One for the rows of one statement. Lives in the fiber's arena. */
pg_json *pg_json_new(void);
/* What follows of the list: its beginning and these rows, more of them, and with no rows its end.
 * The piece lives until the next call.
 *   fails  as pg_rows_json; PG_INVALID_ARGUMENT: rows of another statement */
error pg_json_next(pg_json *json, const pg_rows *rows, str *piece);
/* Appends one row, which must be there, as an object and without anything around it: for lists
 * inside of something else, or a line each. All of it, or nothing.
 *   fails  as pg_rows_json; BUF_FULL: its ceiling leaves `out` no room for it */
error pg_json_write_row(buf *out, pg_json *json, const pg_rows *rows, size_t row);

#endif
