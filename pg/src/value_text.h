/* Parameters as text: as they stand in ranges, in composites and in arrays that go as text. */
#ifndef PG_SRC_VALUE_TEXT_H
#define PG_SRC_VALUE_TEXT_H

#include "core/buf.h"
#include "pg/type.h"

/* What the server reads as the value, which is not NULL. Lives in `a`, or is a view of the value's
 * text.
 *   returns  false for what has no text: a pg_money, which depends on a locale; a received array
 *            whose bytes are none */
bool pg_value_text(arena *a, const pg_value *value, str *out);
/* "{{1,NULL},{3,4}}", of cells of any format; false as above. */
bool pg_array_text(arena *a, const pg_array *array, str *out);
/* Appends an item of an array's text, between quotes where it must be; STR_NONE is NULL. */
void pg_array_put_item(buf *out, str item, char separator);

#endif
