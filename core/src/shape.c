/* Attributes checked, and scalars read from plain text. */
#include "core/shape.h"

#include "json_cursor.h"
#include "shape_check.h"
#include "shape_layout.h"

#define EMAIL_BYTES_MAX       254
#define EMAIL_LOCAL_BYTES_MAX 64
#define HOST_LABEL_BYTES_MAX  63

static const shape_fault NO_FAULT = { NULL, { NULL, 0 } };

static shape_fault too_small(arena *a, const shape_field *f)
{
    return (shape_fault){ "too_small", str_format(a, "must be at least %ld", (long)f->range.min) };
}

static shape_fault too_big(arena *a, const shape_field *f)
{
    return (shape_fault){ "too_big", str_format(a, "must be at most %ld", (long)f->range.max) };
}

static shape_fault wrong(const char *code, str message)
{
    return (shape_fault){ code, message };
}

shape_fault shape_store_int(arena *a, const shape_field *f, int64_t value, void *to)
{
    const shape_kind kind = f->type->kind;
    const int64_t max = kind == SHAPE_INT2 ? INT16_MAX : kind == SHAPE_INT4 ? INT32_MAX : INT64_MAX;
    if (value > max || value < -max - 1)
        return (shape_fault){ "out_of_range", str_format(a, "must be from %ld to %ld",
                                                         (long)(-max - 1), (long)max) };
    if (f->range.set && value < f->range.min)
        return too_small(a, f);
    if (f->range.set && value > f->range.max)
        return too_big(a, f);
    if (kind == SHAPE_INT2)
        *(int16_t *)to = (int16_t)value;
    else if (kind == SHAPE_INT4)
        *(int32_t *)to = (int32_t)value;
    else
        *(int64_t *)to = value;
    return NO_FAULT;
}

shape_fault shape_check_double(arena *a, const shape_field *f, double value)
{
    if (f->range.set && value < (double)f->range.min)
        return too_small(a, f);
    if (f->range.set && value > (double)f->range.max)
        return too_big(a, f);
    return NO_FAULT;
}

static str bound_message(arena *a, const char *bound, uint32_t len, const char *what)
{
    return str_format(a, "must have at %s %u %s%s", bound, len, what, len == 1 ? "" : "s");
}

shape_fault shape_check_len(arena *a, const shape_field *f, size_t len, const char *what)
{
    if (len < f->min_len)
        return (shape_fault){ "too_short", bound_message(a, "least", f->min_len, what) };
    if (f->max_len && len > f->max_len)
        return (shape_fault){ "too_long", bound_message(a, "most", f->max_len, what) };
    return NO_FAULT;
}

/* Code points of valid UTF-8: every byte but continuations. */
static size_t code_points(str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return count;
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 5321's dot-string: atoms of RFC 5322 atext between single dots. */
static bool is_local_part(str s)
{
    if (s.len == 0 || s.len > EMAIL_LOCAL_BYTES_MAX || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        const str marks = STR("!#$%&'*+-/=?^_`{|}~.");
        if (!is_alphanumeric(s.ptr[i]) && str_index(marks, s.ptr[i]) == marks.len)
            return false;
        if (s.ptr[i] == '.' && s.ptr[i - 1] == '.')
            return false;
    }
    return true;
}

static bool is_host_label(str label)
{
    if (label.len == 0 || label.len > HOST_LABEL_BYTES_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!is_alphanumeric(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    }
    return true;
}

static bool is_email(str s)
{
    if (s.len > EMAIL_BYTES_MAX)
        return false;
    str host = s;
    if (!is_local_part(str_cut(&host, '@')) || !host.ptr)
        return false;
    size_t labels = 0;
    while (host.ptr) {
        if (!is_host_label(str_cut(&host, '.')))
            return false;
        labels++;
    }
    return labels >= 2;
}

shape_fault shape_check_text(arena *a, const shape_field *f, str value)
{
    if (f->min_len || f->max_len) {
        const shape_fault fault = shape_check_len(a, f, code_points(value), "character");
        if (fault.code)
            return fault;
    }
    switch (f->format) {
    case FORMAT_NONE:
        return NO_FAULT;
    case FORMAT_EMAIL:
        return is_email(value) ? NO_FAULT : wrong("format", STR("must be an e-mail address"));
    }
    unreachable();
}

shape_fault shape_store_text_form(arena *a, const shape_field *f, str text, void *to)
{
    if (f->type->kind == SHAPE_TIMESTAMPTZ)
        return timestamptz_parse(text, to) ? NO_FAULT
                                           : wrong("format", STR("must be an RFC 3339 date-time"));
    if (f->type->kind == SHAPE_UUID)
        return uuid_parse(text, to) ? NO_FAULT : wrong("format", STR("must be a UUID"));
    invariant(f->type->kind == SHAPE_BYTEA);
    bytea *bytes = to;
    if (!base64_decode(a, text, bytes))
        return wrong("format", STR("must be base64"));
    return shape_check_len(a, f, bytes->len, "byte");
}

static shape_fault parse_bool(str text, bool *to)
{
    if (!str_eq(text, STR("true")) && !str_eq(text, STR("false")))
        return wrong("wrong_type", STR("must be true or false"));
    *to = text.len == 4;
    return NO_FAULT;
}

/* Whole numbers may have leading zeros here, as people type them. */
static shape_fault parse_int(arena *a, const shape_field *f, str text, void *to)
{
    int64_t value;
    if (str_to_int64(text, &value))
        return shape_store_int(a, f, value, to);
    const str digits = str_slice(text, str_starts_with(text, STR("-")), text.len);
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return wrong("wrong_type", STR("must be an integer"));
    }
    return digits.len == 0 ? wrong("wrong_type", STR("must be an integer"))
                           : wrong("out_of_range", STR("is out of the range of 64 bits"));
}

static shape_fault parse_double(arena *a, const shape_field *f, str text, double *to)
{
    if (float8_parse(text, to))
        return shape_check_double(a, f, *to);
    json_cursor c;
    json_cursor_init(&c, NULL, text);
    bool integer;
    const bool number = json_cursor_number(&c, &text, &integer) && c.at == c.end;
    return number ? wrong("out_of_range", STR("is too large for a double"))
                  : wrong("wrong_type", STR("must be a number"));
}

static shape_fault parse_one(arena *a, const shape_field *f, str text, void *to)
{
    switch (f->type->kind) {
    case SHAPE_BOOL:
        return parse_bool(text, to);
    case SHAPE_INT2:
    case SHAPE_INT4:
    case SHAPE_INT8:
        return parse_int(a, f, text, to);
    case SHAPE_FLOAT8:
        return parse_double(a, f, text, to);
    case SHAPE_TEXT:
        if (!str_is_utf8(text) || str_index(text, '\0') < text.len)
            return wrong("format", STR("must be UTF-8 text"));
        *(str *)to = text;
        return shape_check_text(a, f, text);
    case SHAPE_BYTEA:
    case SHAPE_TIMESTAMPTZ:
    case SHAPE_UUID:
        return shape_store_text_form(a, f, text, to);
    case SHAPE_JSONB:
        if (!json_is_valid(text))
            return wrong("format", STR("must be JSON"));
        ((jsonb *)to)->text = text;
        return NO_FAULT;
    case SHAPE_STRUCT:
        break;
    }
    unreachable();
}

const char *shape_parse_text(arena *a, const shape_field *field, str text, void *member,
                             str *message)
{
    invariant(field->type->arity != SHAPE_LIST && field->type->kind != SHAPE_STRUCT);
    char *to = member;
    const shape_fault fault = parse_one(a, field, text, to + field->type->value_offset);
    if (fault.code) {
        *message = fault.message;
        return fault.code;
    }
    if (field->type->arity == SHAPE_OPTIONAL)
        *(any_optional *)member = (any_optional){ .has = true };
    return NULL;
}
