/* Any bytes as the pairs of a form or a query. What is bound is text that it may be; a name is
 * found by http_query_find just where the binding finds it, and the memory taken is in proportion.
 */
#include "conn.h"

#include "tests/support/fuzz.h"

#include <string.h>

#define PAIRS_FIELDS(F)                           \
    F(a, opt_text, .max_len = 40)                 \
    F(b, opt_int8, .range = SHAPE_RANGE(-5, 500)) \
    F(c, text_list, .max_len = 900)               \
    F(d, int4_list)                               \
    F(e, opt_bool)                                \
    F(f, opt_float8)                              \
    F(g, opt_uuid)                                \
    F(h, opt_timestamptz)                         \
    F(i, opt_text, .format = FORMAT_EMAIL)        \
    F(j, opt_bytea)                               \
    F(m, opt_text, .read_only = true)             \
    F(n, int2_list, .min_len = 0)
SHAPE(pairs, PAIRS_FIELDS)

#define INPUT_BYTES_MAX 16384
#define ARENA_BYTES     ((size_t)2 << 20)

/* How many pairs of that name there are, whatever their values; -1: a pair cannot be decoded. */
static int count_pairs(arena *a, str text, str name)
{
    int count = 0;
    while (text.len > 0) {
        str value = str_cut(&text, '&');
        str key = str_cut(&value, '='), decoded;
        if (key.len == 0 && !value.ptr)
            continue;
        if (!http_percent_decode(a, key, true, &key) ||
            (value.ptr && !http_percent_decode(a, value, true, &decoded)))
            return -1;
        count += str_eq(key, name);
    }
    return count;
}

static void check_bound(arena *a, str text, const pairs *out)
{
    const str found = http_query_find(a, text, STR("a"));
    invariant(http_query_has(a, text, STR("a")) == (count_pairs(a, text, STR("a")) == 1));
    invariant(out->a.has == (found.ptr != NULL) && (!found.ptr || str_eq(found, out->a.value)));
    invariant(out->c.count == (size_t)count_pairs(a, text, STR("c")));
    invariant(out->d.count == (size_t)count_pairs(a, text, STR("d")));
    invariant(!out->m.has && out->c.count <= 900);
    for (size_t i = 0; i < out->c.count; i++)
        invariant(str_is_utf8(out->c.items[i]));
    invariant(!out->a.has || (str_is_utf8(out->a.value) && out->a.value.len <= 160));
    invariant(!out->b.has || (out->b.value >= -5 && out->b.value <= 500));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    arena a;
    pairs out;
    if (len > INPUT_BYTES_MAX)
        return 0;
    const str text = fuzz_text(data, len);
    arena_init(&a, ARENA_BYTES);
    if (error_is_ok(http_pairs_bind(&a, text, pairs_shape(), &out)))
        check_bound(&a, text, &out);
    arena_deinit(&a);
    return 0;
}
