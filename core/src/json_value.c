/* Free-form documents: a tree of `json` values in the arena. Elements are gathered in arrays that
 * double; keys are checked for duplicates by sorting, which no input makes quadratic. */
#include "json_cursor.h"

#include "core/json.h"

#define FEW_MEMBERS     8   /* compared pairwise */
#define WRITE_DEPTH_MAX 256 /* json_parse gives JSON_DEPTH_MAX; the rest is the program's own */

static bool parse_value(json_cursor *c, uint32_t depth, json *out);

/* Merges the sorted runs [from, middle) and [middle, to) of `in` into `out`. */
static void merge(const json_member *const *in, const json_member **out, size_t from, size_t middle,
                  size_t to)
{
    size_t left = from, right = middle;
    for (size_t i = from; i < to; i++) {
        const bool take_left =
            left < middle && (right == to || str_compare(in[left]->key, in[right]->key) <= 0);
        out[i] = take_left ? in[left++] : in[right++];
    }
}

/* Sorted by key: a merge sort, because it has no bad case and needs no luck. */
static const json_member **sort_by_key(arena *a, const json_member *items, size_t count)
{
    const json_member **sorted = ARENA_NEW_ARRAY(a, const json_member *, count);
    const json_member **spare = ARENA_NEW_ARRAY(a, const json_member *, count);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &items[i];
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t from = 0; from < count; from += 2 * width) {
            const size_t middle = from + width < count ? from + width : count;
            const size_t to = middle + width < count ? middle + width : count;
            merge(sorted, spare, from, middle, to);
        }
        const json_member **merged = spare;
        spare = sorted;
        sorted = merged;
    }
    return sorted;
}

static bool keys_are_unique(arena *a, const json_member *items, size_t count)
{
    if (count <= FEW_MEMBERS) {
        for (size_t i = 1; i < count; i++) {
            for (size_t j = 0; j < i; j++) {
                if (str_eq(items[i].key, items[j].key))
                    return false;
            }
        }
        return true;
    }
    const json_member **sorted = sort_by_key(a, items, count);
    for (size_t i = 1; i < count; i++) {
        if (str_eq(sorted[i - 1]->key, sorted[i]->key))
            return false;
    }
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool parse_array(json_cursor *c, uint32_t depth, json *out)
{
    *out = (json){ .type = JSON_ARRAY };
    c->at++;
    if (json_cursor_take(c, ']'))
        return true;
    do {
        out->array.items = json_cursor_room(c, out->array.items, out->array.count, sizeof(json));
        json item;
        if (!parse_value(c, depth + 1, &item))
            return false;
        out->array.items[out->array.count++] = item;
    } while (json_cursor_take(c, ','));
    return json_cursor_take(c, ']') || json_cursor_fail(c, "',' or ']' is missing");
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool parse_object(json_cursor *c, uint32_t depth, json *out)
{
    *out = (json){ .type = JSON_OBJECT };
    c->at++;
    if (json_cursor_take(c, '}'))
        return true;
    do {
        out->object.items =
            json_cursor_room(c, out->object.items, out->object.count, sizeof(json_member));
        json_member member;
        if (!json_cursor_string(c, &member.key))
            return false;
        if (!json_cursor_take(c, ':'))
            return json_cursor_fail(c, "':' is missing");
        if (!parse_value(c, depth + 1, &member.value))
            return false;
        out->object.items[out->object.count++] = member;
    } while (json_cursor_take(c, ','));
    if (!json_cursor_take(c, '}'))
        return json_cursor_fail(c, "',' or '}' is missing");
    return keys_are_unique(c->arena, out->object.items, out->object.count) ||
           json_cursor_fail(c, "a key stands twice");
}

static bool parse_number(json_cursor *c, json *out)
{
    str text;
    bool integer;
    if (!json_cursor_number(c, &text, &integer))
        return false;
    *out = (json){ .type = JSON_INTEGER };
    /* -0 is a number: an integer has no negative zero to keep. */
    if (integer && !str_eq(text, STR("-0")) && str_to_int64(text, &out->integer))
        return true;
    out->type = JSON_NUMBER;
    return float8_parse(text, &out->number) || json_cursor_fail(c, "a number is out of range");
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static bool parse_value(json_cursor *c, uint32_t depth, json *out)
{
    const char first = json_cursor_peek(c);
    if ((first == '{' || first == '[') && depth >= JSON_DEPTH_MAX)
        return json_cursor_fail(c, "nested too deeply");
    switch (first) {
    case '{':
        return parse_object(c, depth, out);
    case '[':
        return parse_array(c, depth, out);
    case '"':
        *out = (json){ .type = JSON_STRING };
        return json_cursor_string(c, &out->string);
    case 't':
        *out = (json){ .type = JSON_BOOL, .boolean = true };
        return json_cursor_literal(c, STR("true"));
    case 'f':
        *out = (json){ .type = JSON_BOOL };
        return json_cursor_literal(c, STR("false"));
    case 'n':
        *out = (json){ .type = JSON_NULL };
        return json_cursor_literal(c, STR("null"));
    default:
        if (first == '-' || (first >= '0' && first <= '9'))
            return parse_number(c, out);
        return json_cursor_fail(c,
                                c->at == c->end ? "the text ends too early" : "a value is missing");
    }
}

error json_parse(arena *a, str text, json *out)
{
    json_cursor c;
    json_cursor_init(&c, a, text);
    if (!parse_value(&c, 0, out) || !json_cursor_finish(&c))
        return json_cursor_error(&c);
    return OK;
}

const json *json_find(const json *object, str key)
{
    if (object->type != JSON_OBJECT)
        return NULL;
    for (size_t i = 0; i < object->object.count; i++) {
        if (str_eq(object->object.items[i].key, key))
            return &object->object.items[i].value;
    }
    return NULL;
}

static void write_value(buf *out, const json *value, uint32_t depth);

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static void write_array(buf *out, const json *array, uint32_t depth)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < array->array.count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        write_value(out, &array->array.items[i], depth);
    }
    buf_append_char(out, ']');
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static void write_object(buf *out, const json *object, uint32_t depth)
{
    buf_append_char(out, '{');
    for (size_t i = 0; i < object->object.count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        json_write_string(out, object->object.items[i].key);
        buf_append_char(out, ':');
        write_value(out, &object->object.items[i].value, depth);
    }
    buf_append_char(out, '}');
}

/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it */
static void write_value(buf *out, const json *value, uint32_t depth)
{
    invariant(depth < WRITE_DEPTH_MAX);
    switch (value->type) {
    case JSON_NULL:
        buf_append(out, STR("null"));
        return;
    case JSON_BOOL:
        buf_append(out, value->boolean ? STR("true") : STR("false"));
        return;
    case JSON_INTEGER:
        buf_append_int64(out, value->integer);
        return;
    case JSON_NUMBER:
        json_write_double(out, value->number);
        return;
    case JSON_STRING:
        json_write_string(out, value->string);
        return;
    case JSON_ARRAY:
        write_array(out, value, depth + 1);
        return;
    case JSON_OBJECT:
        write_object(out, value, depth + 1);
        return;
    }
    unreachable();
}

void json_write(buf *out, const json *value)
{
    write_value(out, value, 0);
}

const char *json_type_name(json_type type)
{
    switch (type) {
    case JSON_NULL:
        return "null";
    case JSON_BOOL:
        return "boolean";
    case JSON_INTEGER:
        return "integer";
    case JSON_NUMBER:
        return "number";
    case JSON_STRING:
        return "string";
    case JSON_ARRAY:
        return "array";
    case JSON_OBJECT:
        return "object";
    }
    return "?";
}
