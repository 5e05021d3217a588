/* Whether a JSON text is what a pattern says. A pattern is JSON with ' for ", in which some strings
 * stand for what cannot be known: '<integer>', '<time>' and '<text>'. Members are compared in
 * order, so a text that matches is known to the last key. */
#ifndef TESTS_SUPPORT_JSON_MATCH_H
#define TESTS_SUPPORT_JSON_MATCH_H

#include "core/json.h"
#include "tests/support/json_same.h"

/* The pattern as JSON: ' becomes ". */
static inline str json_unquote(arena *a, const char *pattern)
{
    char *text = str_to_c(a, str_from_c(pattern));
    for (char *at = strchr(text, '\''); at; at = strchr(at, '\''))
        *at = '"';
    return str_from_c(text);
}

static inline bool json_value_matches(const json *value, const json *pattern)
{
    if (pattern->type == JSON_STRING && str_eq(pattern->string, STR("<integer>")))
        return value->type == JSON_INTEGER;
    if (pattern->type == JSON_STRING && str_eq(pattern->string, STR("<text>")))
        return value->type == JSON_STRING && value->string.len > 0;
    if (pattern->type == JSON_STRING && str_eq(pattern->string, STR("<time>"))) {
        timestamptz when;
        return value->type == JSON_STRING && timestamptz_parse(value->string, &when);
    }
    if (value->type == JSON_ARRAY && pattern->type == JSON_ARRAY) {
        bool same = value->array.count == pattern->array.count;
        for (size_t i = 0; same && i < value->array.count; i++)
            same = json_value_matches(&value->array.items[i], &pattern->array.items[i]);
        return same;
    }
    if (value->type == JSON_OBJECT && pattern->type == JSON_OBJECT) {
        bool same = value->object.count == pattern->object.count;
        for (size_t i = 0; same && i < value->object.count; i++) {
            const json_member *one = &value->object.items[i], *other = &pattern->object.items[i];
            same = str_eq(one->key, other->key) && json_value_matches(&one->value, &other->value);
        }
        return same;
    }
    return json_same(value, pattern);
}

/* The pattern must be JSON: an invariant. */
static inline bool json_matches(str text, const char *pattern)
{
    json value, wanted;
    bool matches = false;
    arena a;
    arena_init(&a, (size_t)64 << 20);
    const error bad = json_parse(&a, json_unquote(&a, pattern), &wanted);
    invariant(error_is_ok(bad));
    if (error_is_ok(json_parse(&a, text, &value)))
        matches = json_value_matches(&value, &wanted);
    arena_deinit(&a);
    return matches;
}

#endif
