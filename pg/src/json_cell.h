/* What a column is in JSON, and how its cells are written. */
#ifndef PG_SRC_JSON_CELL_H
#define PG_SRC_JSON_CELL_H

#include "core/buf.h"
#include "pg/type.h"

typedef enum pg_json_kind {
    PG_JSON_STRING = 0, /* the text, whatever it is */
    PG_JSON_NUMBER,
    PG_JSON_BOOL,
    PG_JSON_DOCUMENT,           /* of json */
    PG_JSON_DOCUMENT_VERSIONED, /* of jsonb: behind the version of its binary form */
    PG_JSON_BYTES,
    PG_JSON_DATE,
    PG_JSON_TIMESTAMP,
    PG_JSON_TIMESTAMPTZ,
} pg_json_kind;

typedef struct pg_json_type {
    pg_json_kind kind; /* of an array: of its items */
    pg_format format;
    pg_oid element; /* 0: no array */
} pg_json_type;

/* What a column of this type is, in the format that it is to be asked for in. */
pg_json_type pg_json_type_of(pg_oid oid);

/* Bytes that pg_json_put writes at most besides the cell's own. */
#define PG_JSON_CELL_BYTES 48

/* Writes a cell that is not NULL, and is written as most are, to `to`, where there are
 * PG_JSON_CELL_BYTES and the cell's length.
 *   returns  how many bytes; 0: it is one for pg_json_append, which finds out whether it is any */
size_t pg_json_put(char *to, pg_json_kind kind, str cell);
/* Appends a cell of any kind that is no array, and is not NULL. False: it is no such value. */
bool pg_json_append(buf *out, pg_json_kind kind, str cell);
/* Appends an array. What is quoted in a text is made plain in `scratch`. False: it is none. */
bool pg_json_append_array(buf *out, const pg_json_type *type, str cell, buf *scratch);

#endif
