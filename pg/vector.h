/* The extension pgvector's types: vector, halfvec and sparsevec.
 *
 *   const pg_vector embedding = { floats, 1536 };
 *   TRY(pg_query(db, &rows, "select id from notes order by embedding <-> $1 limit 5", embedding));
 *
 * A pg_vector reads vector and halfvec and is sent as either: their texts are the same. Numbers are
 * written in the fewest digits that are exact. As parameters they are literals, written into the
 * fiber's arena; what the server takes (1 to 16,000 numbers, all finite) it says itself. Much of it
 * is read faster as embedding::real[], which comes in binary, into a float4_list. */
#ifndef PG_VECTOR_H
#define PG_VECTOR_H

#include "core/arena.h"
#include "core/scalar.h"

#define PG_VECTOR_DIMENSIONS_MAX    16000 /* and numbers of a sparsevec that are not zero */
#define PG_SPARSEVEC_DIMENSIONS_MAX 1000000000

typedef struct pg_vector {
    const float *items;
    size_t count;
} pg_vector;

/* A number that is not zero. */
typedef struct pg_sparsevec_item {
    uint32_t index; /* from 1 */
    float value;
} pg_sparsevec_item;

/* One whose other numbers are zero. */
typedef struct pg_sparsevec {
    const pg_sparsevec_item *items; /* in the order of their indices */
    size_t count;
    uint32_t dimensions;
} pg_sparsevec;

SCALAR_OPTIONAL(pg_vector, pg_vector);
SCALAR_OPTIONAL(pg_sparsevec, pg_sparsevec);
SCALAR_LIST(pg_vector, pg_vector);
SCALAR_LIST(pg_sparsevec, pg_sparsevec);

/* "[1,2.5,1e-05]", as the server writes it; in `a`. */
str pg_vector_format(arena *a, const pg_vector *vector);
/* Reads the whole of such a text into `a`. False on anything else, on more numbers than the server
 * has, and when there is no room in `a`, and then leaves `*out` alone. */
bool pg_vector_parse(arena *a, str text, pg_vector *out);
/* The same of "{1:0.5,3:2}/5". */
str pg_sparsevec_format(arena *a, const pg_sparsevec *vector);
bool pg_sparsevec_parse(arena *a, str text, pg_sparsevec *out);

#endif
