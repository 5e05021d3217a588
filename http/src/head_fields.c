/* What a name that stands in several lines says: nothing where only one may be, so that nobody
 * chooses among them; where it is a list, that list.
 *
 * Invariant: a joined list is shorter than the head it comes from. */
#include "head_fields.h"

#include "core/buf.h"

str http_head_only(const http_head *head, str name)
{
    str value = STR_NONE;
    for (uint32_t i = 0; i < head->fields.count; i++) {
        if (!str_eq_nocase(head->fields.items[i].name, name))
            continue;
        if (value.ptr)
            return STR_NONE;
        value = head->fields.items[i].value;
    }
    return value;
}

str http_head_list(arena *a, const http_head *head, str name)
{
    str first = STR_NONE;
    buf all;
    buf_init_arena(&all, a, head->bytes);
    for (uint32_t i = 0; i < head->fields.count; i++) {
        if (!str_eq_nocase(head->fields.items[i].name, name))
            continue;
        if (!first.ptr) {
            first = head->fields.items[i].value;
            continue;
        }
        if (all.len == 0)
            buf_append(&all, first);
        if (all.len > 0)
            buf_append(&all, STR(", "));
        buf_append(&all, head->fields.items[i].value);
    }
    return all.len > 0 ? buf_str(&all) : first;
}
