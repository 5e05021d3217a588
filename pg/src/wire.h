/* PostgreSQL's messages (protocol 3.0, "Message Formats"): how ours are written and theirs are
 * read. Pure: bytes in, bytes out. */
#ifndef PG_SRC_WIRE_H
#define PG_SRC_WIRE_H

#include "big_endian.h"
#include "reader.h"

#include "pg/type.h"

/* The most that PG_MESSAGE_MAX may allow: the server's own limit. A message longer than what that
 * says is not kept: a row is skipped, anything else ends the connection. */
#define PG_MESSAGE_BYTES_MAX ((uint32_t)1 << 30)
#define PG_HEADER_BYTES      5 /* type and length */

/* --- what the server says --------------------------------------------------------------------- */

typedef enum pg_message_type {
    PG_MSG_AUTHENTICATION = 'R',
    PG_MSG_BACKEND_KEY_DATA = 'K',
    PG_MSG_BIND_COMPLETE = '2',
    PG_MSG_CLOSE_COMPLETE = '3',
    PG_MSG_COMMAND_COMPLETE = 'C',
    PG_MSG_COPY_BOTH = 'W',
    PG_MSG_COPY_DATA = 'd',
    PG_MSG_COPY_DONE = 'c',
    PG_MSG_COPY_IN = 'G',
    PG_MSG_COPY_OUT = 'H',
    PG_MSG_DATA_ROW = 'D',
    PG_MSG_EMPTY_QUERY = 'I',
    PG_MSG_ERROR = 'E',
    PG_MSG_NEGOTIATE_VERSION = 'v',
    PG_MSG_NO_DATA = 'n',
    PG_MSG_NOTICE = 'N',
    PG_MSG_NOTIFICATION = 'A',
    PG_MSG_PARAMETER_DESCRIPTION = 't',
    PG_MSG_PARAMETER_STATUS = 'S',
    PG_MSG_PARSE_COMPLETE = '1',
    PG_MSG_PORTAL_SUSPENDED = 's',
    PG_MSG_READY_FOR_QUERY = 'Z',
    PG_MSG_ROW_DESCRIPTION = 'T',
} pg_message_type;

typedef struct pg_message {
    char type;
    str body; /* a view of the input */
} pg_message;

typedef enum pg_frame {
    PG_FRAME_WHOLE,    /* *out is set */
    PG_FRAME_PARTIAL,  /* more bytes are needed */
    PG_FRAME_TOO_LONG, /* over `bytes_max`; out->type is set, *bytes is its whole length */
    PG_FRAME_BAD,      /* a length that cannot be */
} pg_frame;
/* Looks at the message at the front of `input`. `*bytes`: its length, header included. */
pg_frame pg_frame_read(str input, uint32_t bytes_max, pg_message *out, size_t *bytes);

/* Returns false when the body is no list of fields. */
bool pg_report_read(str body, pg_report *out);
/* Whether the server closes the connection after it. */
bool pg_report_is_fatal(const pg_report *report);
/* Sets the report as the running fiber's error. Its slices must live as long as the fiber's arena.
 */
error pg_report_error(const pg_report *report);
/* The same as this kind, with `advice` behind its text. */
error pg_report_error_as(const pg_report *report, const error_kind *kind, const char *advice);
/* One line: "ERROR 42703: message at character 8", in `out`. DETAIL, which quotes rows, stays out
 * of it, as does the value that a data exception quotes. */
void pg_report_text(const pg_report *report, char *out, size_t bytes);

/* A RowDescription's columns: of a portal as they will come, of a statement as they are to be asked
 * for. Counted and in one piece of memory with their names.
 *   out     memory_free'd by the owner; NULL for no columns
 *   fails   PG_PROTOCOL_VIOLATION; OUT_OF_MEMORY */
error pg_columns_read(str body, bool of_portal, pg_column **out, uint32_t *count);
/* Columns with their names, copied. NULL without memory. */
const pg_column *pg_columns_copy(arena *a, const pg_column *columns, uint32_t count);
/* Whether a portal's RowDescription is just that of these columns. */
bool pg_columns_match(str body, const pg_column *columns, uint32_t count);

/* The cells of a DataRow; `cells` has room for `count`, which the row must have.
 *   returns false when the row is malformed */
bool pg_row_read(str body, str *cells, uint32_t count);

/* The rows of a command tag: "INSERT 0 5" is 5, "CREATE TABLE" is 0. */
uint64_t pg_tag_rows(str tag);
/* Whether it is that of SELECT, INSERT, UPDATE, DELETE or MERGE: all that such a statement does in
 * its database is undone when it fails, while others may commit on their way (CALL, VACUUM). */
bool pg_tag_is_dml(str tag);

/* --- what we say ------------------------------------------------------------------------------ */

/* A row of messages: first their size is counted, then they are written in one piece. A writer
 * without memory counts. */
typedef struct pg_writer {
    char *at;     /* NULL: counting */
    size_t bytes; /* counted or written so far */
} pg_writer;

void pg_write_parse(pg_writer *w, str name, str sql, const pg_value *values, size_t value_count);
void pg_write_describe_statement(pg_writer *w, str name);
void pg_write_describe_portal(pg_writer *w, str name);
/* Makes a portal of a statement; "" is the one that the next Bind replaces. Result columns are
 * asked for in the format of `columns`. */
void pg_write_bind(pg_writer *w, str portal, str name, const pg_value *values, size_t value_count,
                   const pg_column *columns, uint32_t column_count);
/* Its next rows, at most `rows_max`; 0: all. */
void pg_write_execute(pg_writer *w, str portal, uint32_t rows_max);
/* Parse, Bind and Execute of a statement without parameters, whose rows are of no interest. */
void pg_write_run(pg_writer *w, str sql);
void pg_write_sync(pg_writer *w);
void pg_write_close_statement(pg_writer *w, str name);
void pg_write_close_portal(pg_writer *w, str portal);
void pg_write_query(pg_writer *w, str sql);
void pg_write_copy_data(pg_writer *w, str bytes);
/* A row of COPY's binary format, which is part of the data: no message of its own. */
void pg_write_copy_row(pg_writer *w, const pg_value *values, size_t value_count);
void pg_write_copy_done(pg_writer *w);
void pg_write_copy_fail(pg_writer *w, str why);
void pg_write_terminate(pg_writer *w);
/* `pairs`: name, value, name, value, …; what has no value is left out. */
void pg_write_startup(pg_writer *w, uint16_t minor_version, const str *pairs, size_t count);
void pg_write_ssl_request(pg_writer *w);
void pg_write_cancel(pg_writer *w, uint32_t process, str key);
/* PasswordMessage, SASLResponse: type 'p' and these bytes. */
void pg_write_password(pg_writer *w, str bytes);
void pg_write_sasl_initial(pg_writer *w, str mechanism, str data);

#endif
