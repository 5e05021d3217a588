/* Free-form documents: a tree of `json` values in the arena. Elements are gathered in arrays that
 * double; keys are checked for duplicates by sorting, which no input makes quadratic. */
#include "json_cursor.h"

#include "core/json.h"

#include <stdlib.h>
#include <string.h>

#define FEW_MEMBERS 8 /* compared pairwise */

static bool parse_value(json_cursor *c, uint32_t depth, json *out);

/* Room for one more element of `bytes` in an array of `count`; capacities are 4, 8, 16… */
static void *room_for_one(arena *a, void *items, size_t count, size_t bytes)
{
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
        return items;
    const size_t capacity = count < 4 ? 4 : 2 * count;
    return arena_grow(a, items, count * bytes, capacity * bytes, 16);
}

static int by_key(const void *a, const void *b)
{
    const json_member *const *left = a;
    const json_member *const *right = b;
    return str_compare((*left)->key, (*right)->key);
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
    const json_member **sorted =
        arena_alloc_zero(a, count, sizeof *sorted, _Alignof(json_member *));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &items[i];
    qsort(sorted, count, sizeof *sorted, by_key);
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
        out->array.items = room_for_one(c->arena, out->array.items, out->array.count, sizeof(json));
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
            room_for_one(c->arena, out->object.items, out->object.count, sizeof(json_member));
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

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the value, which json_parse bounds */
void json_write(buf *out, const json *value)
{
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
        buf_append_char(out, '[');
        for (size_t i = 0; i < value->array.count; i++) {
            if (i > 0)
                buf_append_char(out, ',');
            json_write(out, &value->array.items[i]);
        }
        buf_append_char(out, ']');
        return;
    case JSON_OBJECT:
        buf_append_char(out, '{');
        for (size_t i = 0; i < value->object.count; i++) {
            if (i > 0)
                buf_append_char(out, ',');
            json_write_string(out, value->object.items[i].key);
            buf_append_char(out, ':');
            json_write(out, &value->object.items[i].value);
        }
        buf_append_char(out, '}');
        return;
    }
    unreachable();
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
