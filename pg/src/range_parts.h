/* Ranges taken apart: what range.c and any_range.c make values of. */
#ifndef PG_SRC_RANGE_PARTS_H
#define PG_SRC_RANGE_PARTS_H

#include "core/buf.h"
#include "pg/type.h"

/* What stands behind the two bounds in every typed range. */
typedef struct pg_range_flags {
    bool lower_exclusive;
    bool upper_inclusive;
    bool lower_unbounded;
    bool upper_unbounded;
    bool empty;
} pg_range_flags;

/* A range whose bounds are still text or bytes. */
typedef struct pg_range_parts {
    pg_range_flags is;
    str lower;
    str upper;
} pg_range_parts;

/* The byte that they are in the binary form. */
uint8_t pg_range_flags_byte(pg_range_flags flags);
/* Reads all of a range; what is quoted in it lives in `a`. False when it is none, or there is no
 * room. */
bool pg_range_take_apart(arena *a, str bytes, pg_format format, pg_range_parts *out);
/* Appends "[lower,upper)", of bounds that are text. */
void pg_range_put_text(buf *out, const pg_range_parts *p);

/* How many ranges there are in a multirange at most; leaves those in `*bytes`. */
bool pg_multirange_open(str *bytes, pg_format format, size_t *count);
/* Takes the next range off `*rest`, behind the comma where it is not the first. */
bool pg_multirange_next(arena *a, str *rest, pg_format format, bool first, pg_range_parts *out);

#endif
