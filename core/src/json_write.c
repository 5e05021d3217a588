/* The JSON writer: structs by their shape, strings by runs of plain bytes, and the pieces in
 * between.
 *
 * Recursion goes one level a nested shape; a shape cannot contain itself, so its depth is the
 * program's own. */
#include "base64.h"
#include "json_scan.h"
#include "shape_layout.h"
#include "utf8.h"

#include "core/json.h"

#include <math.h>
#include <string.h>

/* --- strings --------------------------------------------------------------------------------- */

static void write_escape(buf *out, unsigned char c)
{
    static const char HEX[] = "0123456789abcdef";
    switch (c) {
    case '"':
        buf_append(out, STR("\\\""));
        return;
    case '\\':
        buf_append(out, STR("\\\\"));
        return;
    case '\n':
        buf_append(out, STR("\\n"));
        return;
    case '\r':
        buf_append(out, STR("\\r"));
        return;
    case '\t':
        buf_append(out, STR("\\t"));
        return;
    default: {
        const char escape[] = { '\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15] };
        buf_append(out, (str){ escape, sizeof escape });
    }
    }
}

/* Text without escapes whose UTF-8 is broken somewhere: each byte that begins no sequence becomes
 * U+FFFD. */
static void write_repaired(buf *out, str s)
{
    while (s.len > 0) {
        const size_t len = utf8_sequence((const unsigned char *)s.ptr, s.len);
        buf_append(out, len ? str_slice(s, 0, len) : STR("\xEF\xBF\xBD"));
        s = str_slice(s, len ? len : 1, s.len);
    }
}

/* A string that is not all plain: runs of text with one escape between them. */
static void write_runs(buf *out, str s)
{
    while (s.len > 0) {
        bool ascii;
        const str text = { s.ptr, json_scan_text(s.ptr, s.len, &ascii) };
        if (ascii || str_is_utf8(text))
            buf_append(out, text);
        else
            write_repaired(out, text);
        s = str_slice(s, text.len, s.len);
        if (s.len == 0)
            return;
        write_escape(out, (unsigned char)s.ptr[0]);
        s = str_slice(s, 1, s.len);
    }
}

void json_write_string(buf *out, str s)
{
    char *to = buf_reserve(out, s.len + 2);
    if (!to)
        return;
    *to++ = '"';
    const size_t plain = s.len ? json_scan_plain(s.ptr, s.len) : 0;
    if (plain > 0)
        memcpy(to, s.ptr, plain);
    if (LIKELY(plain == s.len)) {
        to[plain] = '"';
        buf_commit(out, plain + 2);
        return;
    }
    buf_commit(out, plain + 1);
    write_runs(out, str_slice(s, plain, s.len));
    buf_append_char(out, '"');
}

void json_write_double(buf *out, double value)
{
    if (!isfinite(value)) {
        buf_append(out, STR("null"));
        return;
    }
    char text[FLOAT8_TEXT_MAX];
    buf_append(out, (str){ text, float8_format(text, value) });
}

void json_write_bytea(buf *out, bytea value)
{
    const size_t len = base64_len(value.len);
    char *to = buf_reserve(out, len + 2);
    if (!to)
        return;
    to[0] = '"';
    base64_put(to + 1, value);
    to[len + 1] = '"';
    buf_commit(out, len + 2);
}

void json_write_raw(buf *out, jsonb text)
{
    buf_append(out, text.text.len ? text.text : STR("null"));
}

/* --- values of a shape ----------------------------------------------------------------------- */

static void write_quoted(buf *out, const char *text, size_t len)
{
    buf_append_char(out, '"');
    buf_append(out, (str){ text, len });
    buf_append_char(out, '"');
}

/* One X at `value`. */
/* NOLINTNEXTLINE(misc-no-recursion): one level a nested shape */
static void write_value(buf *out, const shape_type *type, const void *value)
{
    switch (type->kind) {
    case SHAPE_BOOL:
        buf_append(out, *(const bool *)value ? STR("true") : STR("false"));
        return;
    case SHAPE_INT2:
        buf_append_int64(out, *(const int16_t *)value);
        return;
    case SHAPE_INT4:
        buf_append_int64(out, *(const int32_t *)value);
        return;
    case SHAPE_INT8:
        buf_append_int64(out, *(const int64_t *)value);
        return;
    case SHAPE_FLOAT8:
        json_write_double(out, *(const double *)value);
        return;
    case SHAPE_TEXT:
        json_write_string(out, *(const str *)value);
        return;
    case SHAPE_BYTEA:
        json_write_bytea(out, *(const bytea *)value);
        return;
    case SHAPE_TIMESTAMPTZ: {
        char text[TIMESTAMPTZ_TEXT_MAX];
        write_quoted(out, text, timestamptz_format(text, *(const timestamptz *)value));
        return;
    }
    case SHAPE_UUID: {
        char text[UUID_TEXT_LEN];
        write_quoted(out, text, uuid_format(text, *(const uuid *)value));
        return;
    }
    case SHAPE_JSONB:
        json_write_raw(out, *(const jsonb *)value);
        return;
    case SHAPE_STRUCT:
        json_write_shape(out, type->nested(), value);
        return;
    }
    unreachable();
}

/* NOLINTNEXTLINE(misc-no-recursion): one level a nested shape */
static void write_list(buf *out, const shape_type *type, const any_list *list)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        write_value(out, type, list->items + i * type->value_bytes);
    }
    buf_append_char(out, ']');
}

/* NOLINTNEXTLINE(misc-no-recursion): one level a nested shape */
static void write_member(buf *out, const shape_type *type, const char *member)
{
    switch (type->arity) {
    case SHAPE_ONE:
        write_value(out, type, member);
        return;
    case SHAPE_OPTIONAL:
        if (((const any_optional *)(const void *)member)->has)
            write_value(out, type, member + type->value_offset);
        else
            buf_append(out, STR("null"));
        return;
    case SHAPE_LIST:
        write_list(out, type, (const any_list *)(const void *)member);
        return;
    }
    unreachable();
}

/* NOLINTNEXTLINE(misc-no-recursion): one level a nested shape */
void json_write_shape(buf *out, const shape *of, const void *value)
{
    char separator = '{';
    for (uint32_t i = 0; i < of->field_count; i++) {
        const shape_field *field = &of->fields[i];
        if (field->hidden)
            continue;
        char *to = buf_reserve(out, field->name.len + 4);
        if (!to)
            return;
        /* A field's name is a C identifier: nothing in it is escaped. */
        to[0] = separator;
        to[1] = '"';
        memcpy(to + 2, field->name.ptr, field->name.len);
        to[field->name.len + 2] = '"';
        to[field->name.len + 3] = ':';
        buf_commit(out, field->name.len + 4);
        separator = ',';
        write_member(out, field->type, (const char *)value + field->offset);
    }
    buf_append(out, separator == '{' ? STR("{}") : STR("}"));
}

void json_write_shape_list(buf *out, const shape *of, const void *items, size_t count)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        json_write_shape(out, of, (const char *)items + i * of->bytes);
    }
    buf_append_char(out, ']');
}
