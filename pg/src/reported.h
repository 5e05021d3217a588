/* What the server says of a session by itself (ParameterStatus): names and values of settings. A
 * server has a dozen or two; of one that goes on and on the rest is not kept. */
#ifndef PG_SRC_REPORTED_H
#define PG_SRC_REPORTED_H

#include "core/list.h"
#include "core/str.h"

#define PG_REPORTED_MAX       64    /* names */
#define PG_REPORTED_BYTES_MAX 16384 /* of names and values */

typedef struct pg_reported_list {
    list items;
    size_t count;
    size_t bytes;
} pg_reported_list;

void pg_reported_init(pg_reported_list *r);
/* Forgets all. */
void pg_reported_clear(pg_reported_list *r);
/* In place of what it was. */
void pg_reported_keep(pg_reported_list *r, str name, str value);
/* STR_NONE: it was not said. A view, until the next pg_reported_keep. */
str pg_reported_find(const pg_reported_list *r, str name);

#endif
