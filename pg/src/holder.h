/* Who has the pool's connections, in words for the errors of those who wait for one. */
#ifndef PG_SRC_HOLDER_H
#define PG_SRC_HOLDER_H

#include "pool.h"

#define PG_HOLDERS_BYTES 320 /* of the text; an error's may be 384 */

/* "8 connections open, 8 leased, 12 fibers wait; longest: request GET /notes/:id 4830 ms
 * (notes.c:42), select …": how many there are, and the three that are held longest, with the line
 * that began a transaction. Values stand nowhere in it:
 * only statements' texts, shortened. NUL-terminated. */
void pg_holders_describe(const pg_pool *pool, char out[PG_HOLDERS_BYTES]);

#endif
