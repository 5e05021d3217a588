/* PostgreSQL's bit and bit varying: a row of bits.
 *
 *   pg_bits flags;
 *   TRY(pg_get(&rows, 0, 0, &flags));
 *   if (flags.count > 3 && pg_bits_at(&flags, 3))
 *       …
 *   TRY(pg_execute(db, NULL, "update … set flags = $1", flags)); */
#ifndef PG_BITS_H
#define PG_BITS_H

#include "core/arena.h"
#include "core/scalar.h"

/* A view, like bytea. As a parameter it is a bit varying, which the server also takes for a bit(n)
 * of the same length. */
typedef struct pg_bits {
    const uint8_t *bytes; /* the first bit is the highest of the first byte */
    size_t count;         /* bits; those behind them in the last byte do not count */
} pg_bits;
SCALAR_OPTIONAL(pg_bits, pg_bits);
SCALAR_LIST(pg_bits, pg_bits);

/* The bit at `index`, from 0 at the left, as the server's get_bit counts. It must be there. */
bool pg_bits_at(const pg_bits *bits, size_t index);

/* "10110", as the server writes it. Lives in `a`. */
str pg_bits_format(arena *a, const pg_bits *bits);
/* Reads that; the bits live in `a`. False on anything but zeros and ones, or when there is no room
 * in `a`, with `*out` left alone. */
bool pg_bits_parse(arena *a, str text, pg_bits *out);

#endif
