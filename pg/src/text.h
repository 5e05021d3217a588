/* The text of core's scalars as the server writes it: what stands inside of ranges, composites and
 * arrays of other types. Each reads the whole text, returns false on anything that is not one
 * value, and then leaves `*out` alone. */
#ifndef PG_SRC_TEXT_H
#define PG_SRC_TEXT_H

#include "core/scalar.h"

/* "t", "f". */
bool pg_bool_parse(str text, bool *out);
/* An integer from `least` to `most`. */
bool pg_int_parse(str text, int64_t least, int64_t most, int64_t *out);
/* "1.5", "1e+22", "NaN", "-Infinity": the nearest float, the nearest double. */
bool pg_float4_parse(str text, float *out);
bool pg_float8_parse(str text, double *out);
/* A float as the server writes it, without a NUL: the fewest digits that are nearest to it. */
#define PG_FLOAT4_TEXT_MAX 24
size_t pg_float4_format(char out[PG_FLOAT4_TEXT_MAX], float value);
/* Hexadecimal digits behind \x, or bytes with escapes, by bytea_output. They live in `a`; false
 * also when that has no room. */
bool pg_bytea_parse(arena *a, str text, bytea *out);
/* "2026-01-31 23:59:59.5+01", "0044-03-15 12:00:00+00:53:28 BC", "infinity": DateStyle ISO, any
 * time zone. */
bool pg_timestamptz_parse(str text, timestamptz *out);

#endif
