/* What stands before the items of an array that came in binary. */
#ifndef PG_SRC_ARRAY_H
#define PG_SRC_ARRAY_H

#include "reader.h"

#include "pg/cells.h"

/* Reads dimensions and count, all but the cells. False when they make no sense, are of another
 * element, or promise more items than there are bytes for. */
bool pg_array_read_header(pg_reader *r, pg_oid element, pg_array *out);

#endif
