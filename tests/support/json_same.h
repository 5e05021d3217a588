/* Whether two free-form JSON values are the same, numbers to the bit. A number without a fraction,
 * such as 1e5, is written without its exponent and so comes back as an integer: the same. */
#ifndef TESTS_SUPPORT_JSON_SAME_H
#define TESTS_SUPPORT_JSON_SAME_H

#include "core/json.h"

#include <string.h>

static inline bool json_same_number(const json *x, const json *y)
{
    const double one = x->type == JSON_INTEGER ? (double)x->integer : x->number;
    const double other = y->type == JSON_INTEGER ? (double)y->integer : y->number;
    return memcmp(&one, &other, sizeof one) == 0;
}

static inline bool json_same(const json *x, const json *y)
{
    if ((x->type == JSON_INTEGER && y->type == JSON_NUMBER) ||
        (x->type == JSON_NUMBER && y->type == JSON_INTEGER))
        return json_same_number(x, y);
    if (x->type != y->type)
        return false;
    switch (x->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return x->boolean == y->boolean;
    case JSON_INTEGER:
        return x->integer == y->integer;
    case JSON_NUMBER:
        return json_same_number(x, y);
    case JSON_STRING:
        return str_eq(x->string, y->string);
    case JSON_ARRAY:
        if (x->array.count != y->array.count)
            return false;
        for (size_t i = 0; i < x->array.count; i++) {
            if (!json_same(&x->array.items[i], &y->array.items[i]))
                return false;
        }
        return true;
    case JSON_OBJECT:
        if (x->object.count != y->object.count)
            return false;
        for (size_t i = 0; i < x->object.count; i++) {
            const json_member *one = &x->object.items[i], *other = &y->object.items[i];
            if (!str_eq(one->key, other->key) || !json_same(&one->value, &other->value))
                return false;
        }
        return true;
    }
    return false;
}

#endif
