/* The binary form of a numeric: count, weight, sign and scale in 16 bits each, then the digits. */
#ifndef PG_SRC_NUMERIC_H
#define PG_SRC_NUMERIC_H

#include "pg/numeric.h"

/* Its digits, `count` of them, wherever they are. */
const uint16_t *pg_numeric_digits(const pg_numeric *n);

/* Reads all of `bytes`; false when they are no numeric, or there is no room in `a` for more than
 * PG_NUMERIC_FEW_DIGITS digits, and `*out` is left alone. */
bool pg_numeric_read(arena *a, str bytes, pg_numeric *out);
/* The bytes that pg_numeric_put writes, and that; it returns their end. */
size_t pg_numeric_size(const pg_numeric *n);
char *pg_numeric_put(const pg_numeric *n, char *at);

#endif
