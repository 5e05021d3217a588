/* Arrays as lists, in one pass and without cells. In binary brackets stand where an index is a
 * multiple of what a dimension holds; as text braces become brackets, and bounds are left out. */
#include "array.h"
#include "json_cell.h"
#include "quoted.h"

#define NULL_LEN UINT32_MAX

/* --- binary ----------------------------------------------------------------------------------- */

/* `count` of brackets around the item at `index`, of those dimensions that begin, or end, there. */
static void put_brackets(buf *out, const size_t *strides, uint32_t dimensions, size_t index, char c)
{
    for (uint32_t d = 0; d < dimensions; d++) {
        if (index % strides[d] == 0)
            buf_append_char(out, c);
    }
}

static bool append_binary(buf *out, const pg_json_type *type, str cell)
{
    pg_array array = { 0 };
    pg_reader r = pg_reader_of(cell);
    if (!pg_array_read_header(&r, type->element, &array))
        return false;
    size_t strides[PG_ARRAY_DIMENSIONS_MAX] = { 0 };
    size_t stride = 1;
    for (uint32_t d = array.dimensions; d-- > 0;)
        strides[d] = stride *= array.sides[d].count;
    if (array.dimensions == 0)
        buf_append(out, STR("[]"));
    for (size_t i = 0; i < array.count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        put_brackets(out, strides, array.dimensions, i, '[');
        const uint32_t len = pg_reader_u32(&r);
        if (len == NULL_LEN)
            buf_append(out, STR("null"));
        else if (!pg_json_append(out, type->kind, pg_reader_bytes(&r, len)) || r.failed)
            return false;
        put_brackets(out, strides, array.dimensions, i + 1, ']');
    }
    return pg_reader_done(&r);
}

/* --- text ------------------------------------------------------------------------------------- */

/* Takes an item between quotes; without backslashes it is a view. */
static bool take_quoted(str *rest, str *item, buf *scratch)
{
    bool escaped;
    if (!pg_quoted_take_item(rest, item, &escaped))
        return false;
    if (!escaped)
        return true;
    buf_reset(scratch);
    char *to = buf_reserve(scratch, item->len);
    if (to)
        *item = (str){ to, pg_quoted_plain(*item, to) };
    return to != NULL;
}

/* Takes an item without quotes, STR_NONE for NULL. */
static bool take_bare(str *rest, char separator, str *item)
{
    size_t len = 0;
    for (; len < rest->len && rest->ptr[len] != separator && rest->ptr[len] != '}'; len++) {
        const char c = rest->ptr[len];
        if (c == '{' || c == '"' || c == '\\')
            return false;
    }
    if (len == 0)
        return false;
    *item = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len, rest->len);
    if (str_eq(*item, STR("NULL")))
        *item = STR_NONE;
    return true;
}

static bool append_item(buf *out, const pg_json_type *type, str *rest, char separator, buf *scratch)
{
    str item;
    if (!(rest->ptr[0] == '"' ? take_quoted(rest, &item, scratch)
                              : take_bare(rest, separator, &item)))
        return false;
    if (item.ptr)
        return pg_json_append(out, type->kind, item);
    buf_append(out, STR("null"));
    return true;
}

/* From the first brace to the last one, behind which nothing may follow. */
static bool append_braces(buf *out, const pg_json_type *type, str rest, buf *scratch)
{
    const char separator = type->element == PG_OID_BOX ? ';' : ','; /* the only one */
    uint32_t depth = 0;
    bool wants_item = true;
    do {
        if (rest.len == 0)
            return false;
        const char c = rest.ptr[0];
        if (wants_item && c != '{') {
            if (depth == 0 || !append_item(out, type, &rest, separator, scratch))
                return false;
            wants_item = false;
            continue;
        }
        rest = str_slice(rest, 1, rest.len);
        if (wants_item) {
            if (++depth > PG_ARRAY_DIMENSIONS_MAX)
                return false;
            buf_append_char(out, '[');
        } else if (c == separator) {
            buf_append_char(out, ',');
            wants_item = true;
        } else if (c == '}') {
            buf_append_char(out, ']');
            depth--;
        } else {
            return false;
        }
    } while (depth > 0);
    return rest.len == 0;
}

static bool append_text(buf *out, const pg_json_type *type, str cell, buf *scratch)
{
    if (cell.len > 0 && cell.ptr[0] == '[')
        str_cut(&cell, '='); /* bounds */
    if (cell.ptr && !str_eq(cell, STR("{}")))
        return append_braces(out, type, cell, scratch);
    buf_append(out, STR("[]"));
    return cell.ptr != NULL;
}

bool pg_json_append_array(buf *out, const pg_json_type *type, str cell, buf *scratch)
{
    return type->format == PG_BINARY ? append_binary(out, type, cell)
                                     : append_text(out, type, cell, scratch);
}
