/* A parameter's bytes in a Bind message. */
#ifndef PG_SRC_VALUE_H
#define PG_SRC_VALUE_H

#include "pg/type.h"

/* Bytes that pg_value_put will write, 0 for NULL; SIZE_MAX when that is more than a message may
 * hold. */
size_t pg_value_size(const pg_value *value);
/* Writes the value, not NULL, at `at`, which has room for pg_value_size.
 *   returns the place behind it */
char *pg_value_put(const pg_value *value, char *at);
/* The item at `index` of a list, a view of it. */
pg_value pg_value_item(const pg_value *list, size_t index);
/* Text for a type that the server infers, else binary. */
pg_format pg_value_format(const pg_value *value);

#endif
