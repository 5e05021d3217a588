/* Rows in COPY's binary format, as they come (PostgreSQL, COPY, "Binary Format"): a header, rows of
 * counted cells, an end. Pieces of it may end anywhere. */
#ifndef PG_SRC_COPY_ROW_H
#define PG_SRC_COPY_ROW_H

#include "core/str.h"

/* What the bytes begin with; what was read is taken off them, but of the last three nothing. */
typedef enum pg_copy_part {
    PG_COPY_PART_WHOLE,
    PG_COPY_PART_END,
    PG_COPY_PART_CUT,   /* more is to come */
    PG_COPY_PART_OTHER, /* a row of another number of cells */
    PG_COPY_PART_BAD,
} pg_copy_part;

/* The header. */
pg_copy_part pg_copy_header_read(str *bytes);
/* A row of `count` cells, which are views of `bytes`; STR_NONE is NULL. */
pg_copy_part pg_copy_row_read(str *bytes, str *cells, size_t count);

#endif
