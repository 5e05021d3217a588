/* Lines and fields of heads. A line is looked for with memchr from where the last search ended, so
 * bytes that arrive singly are still seen once; only a whole line is taken apart.
 *
 * Invariant: offsets are from the first byte of the head, and `at` never passes what was given. */
#include "fields.h"

#include <string.h>

http_line_result http_lines_next(http_lines *l, str bytes, str *line)
{
    invariant(bytes.len >= l->at && bytes.len <= UINT32_MAX);
    const char *from = bytes.ptr + l->at;
    const char *lf = bytes.len > l->at ? memchr(from, '\n', bytes.len - l->at) : NULL;
    l->at = (uint32_t)(lf ? (size_t)(lf - bytes.ptr) + 1 : bytes.len);
    *line = (str){ bytes.ptr + l->line_start, l->at - l->line_start };
    if (!lf)
        return HTTP_LINE_PART;
    if (line->len < 2 || lf[-1] != '\r')
        return HTTP_LINE_BAD;
    line->len -= 2;
    l->line_start = l->at;
    return HTTP_LINE_WHOLE;
}

void http_fields_init(http_fields *f)
{
    memset(f, 0, offsetof(http_fields, offsets));
    f->scan = http_scan_pick();
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static http_field_fault malformed(const char **reason, const char *text)
{
    *reason = text;
    return HTTP_FIELD_MALFORMED;
}

http_field_fault http_fields_add(http_fields *f, str bytes, str line, uint32_t fields_max,
                                 const char **reason)
{
    const char *base = bytes.ptr, *end = bytes.ptr + bytes.len;
    if (is_blank(line.ptr[0]))
        return malformed(reason, "folded header line");
    const str name = { line.ptr, f->scan->token(line.ptr, end) };
    if (name.len == 0 || name.len >= line.len || line.ptr[name.len] != ':')
        return malformed(reason, "malformed header name");
    str value = { line.ptr + name.len + 1, line.len - name.len - 1 };
    if (f->scan->value(value.ptr, end) != value.len) /* the CR behind it is of no class */
        return malformed(reason, "forbidden character in a header value");
    for (; value.len > 0 && is_blank(value.ptr[0]); value.len--)
        value.ptr++;
    while (value.len > 0 && is_blank(value.ptr[value.len - 1]))
        value.len--;
    if (f->count >= fields_max || f->count >= HTTP_FIELDS_MAX) {
        *reason = "too many header fields";
        return HTTP_FIELD_TOO_MANY;
    }
    const uint32_t i = f->count++;
    f->offsets[i].name_at = (uint32_t)(name.ptr - base);
    f->offsets[i].name_len = (uint32_t)name.len;
    f->offsets[i].value_at = (uint32_t)(value.ptr - base);
    f->offsets[i].value_len = (uint32_t)value.len;
    return HTTP_FIELD_GOOD;
}

void http_fields_slice(http_fields *f, const char *base)
{
    for (uint32_t i = 0; i < f->count; i++) {
        http_field *field = &f->items[i];
        field->name = (str){ base + f->offsets[i].name_at, f->offsets[i].name_len };
        field->value = (str){ base + f->offsets[i].value_at, f->offsets[i].value_len };
    }
}

http_field_name http_fields_name(http_fields *f, uint32_t index)
{
    const http_field_name name = http_field_name_of(f->items[index].name);
    if (name != HTTP_FIELD_OTHER && f->first[name] == 0)
        f->first[name] = (uint8_t)(index + 1);
    return name;
}

str http_fields_find(const http_fields *f, str name)
{
    const http_field_name known = http_field_name_of(name);
    if (known != HTTP_FIELD_OTHER)
        return f->first[known] ? f->items[f->first[known] - 1].value : STR_NONE;
    for (uint32_t i = 0; i < f->count; i++) {
        if (str_eq_nocase(f->items[i].name, name))
            return f->items[i].value;
    }
    return STR_NONE;
}
