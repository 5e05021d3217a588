/* The extension hstore's type: keys and values, both text, of which values may be NULL.
 *
 *   pg_hstore tags;
 *   TRY(pg_get(&rows, 0, 0, &tags));
 *   const pg_hstore_pair *color = pg_hstore_find(&tags, STR("color")); // NULL: there is none
 *   pg_hstore_pair pairs[] = { { STR("color"), STR("red") }, { STR("size"), STR_NONE } };
 *   TRY(pg_execute(db, NULL, "update things set tags = $1", ((pg_hstore){ pairs, 2 })));
 *
 * As a parameter it is a literal, written into the fiber's arena. The server keeps one of several
 * pairs with the same key, and none of their order. */
#ifndef PG_HSTORE_H
#define PG_HSTORE_H

#include "core/arena.h"
#include "core/scalar.h"

typedef struct pg_hstore_pair {
    str key;
    str value; /* STR_NONE: NULL */
} pg_hstore_pair;

typedef struct pg_hstore {
    const pg_hstore_pair *items;
    size_t count;
} pg_hstore;
SCALAR_OPTIONAL(pg_hstore, pg_hstore);
SCALAR_LIST(pg_hstore, pg_hstore);

/* "\"color\"=>\"red\", \"size\"=>NULL", as the server writes it; in `a`. */
str pg_hstore_format(arena *a, const pg_hstore *hstore);
/* Reads the whole of such a text; what is not escaped are views of it. False on anything else and
 * when there is no room in `a`, and then leaves `*out` alone. */
bool pg_hstore_parse(arena *a, str text, pg_hstore *out);
/* The first pair with this key, NULL when there is none. */
const pg_hstore_pair *pg_hstore_find(const pg_hstore *hstore, str key);

#endif
