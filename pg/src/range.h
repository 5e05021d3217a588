/* The binary form of ranges: a byte of flags, then the bounds that there are, each behind its
 * length; of multiranges: how many, then each range behind its length. */
#ifndef PG_SRC_RANGE_H
#define PG_SRC_RANGE_H

#include "pg/type.h"

/* The bytes that pg_range_put writes of a value of this type, SIZE_MAX when a message cannot hold
 * them, and that; it returns their end. */
size_t pg_range_size(pg_oid oid, const void *range);
char *pg_range_put(pg_oid oid, const void *range, char *at);
size_t pg_multirange_size(pg_oid oid, const void *ranges);
char *pg_multirange_put(pg_oid oid, const void *ranges, char *at);

/* The type of the bounds of a range, or of a multirange, in the list of pg/type.h; false when `oid`
 * is in that list as another type. */
bool pg_range_bound_type(pg_oid oid, bool several, pg_oid *out);

#endif
