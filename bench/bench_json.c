/* What JSON costs by shape, both ways: a document of 100 bytes as an API's clients send it, and one
 * of 64 KiB, a list of orders with nested shapes, numbers, times and text that must be escaped. */
#include "measure.h"

#include "core/json.h"

#include <assert.h>
#include <stdio.h>

#define SMALL_FIELDS(F)                          \
    F(id, int8)                                  \
    F(title, text, .min_len = 1, .max_len = 200) \
    F(body, text, .max_len = 65536)              \
    F(done, bool)                                \
    F(tags, text_list)
SHAPE(small, SMALL_FIELDS)

#define ITEM_FIELDS(F) F(sku, text) F(count, int4) F(price, float8)
SHAPE(item, ITEM_FIELDS)

#define ORDER_FIELDS(F)                    \
    F(id, int8)                            \
    F(customer, text)                      \
    F(comment, opt_text, .nullable = true) \
    F(placed_at, timestamptz)              \
    F(paid, bool)                          \
    F(items, item_list)
SHAPE(order, ORDER_FIELDS)

#define LARGE_FIELDS(F) F(orders, order_list)
SHAPE(large, LARGE_FIELDS)

#define SMALL                                                                   \
    "{\"id\":4711,\"title\":\"Shopping\",\"body\":\"Milk, bread, newspapers\"," \
    "\"done\":false,\"tags\":[\"home\",\"today\"]}"
static_assert(sizeof SMALL - 1 == 100, "as the case is named");
#define LARGE_BYTES 65536

typedef struct document {
    const shape *of;
    str text;
    void *value; /* what `text` parses into; its texts and lists live in `arena` */
    arena arena;
} document;

static buf written;

static void parse(void *state)
{
    document *d = state;
    arena_reset(&d->arena);
    invariant(error_is_ok(json_parse_shape(&d->arena, d->text, d->of, d->value)));
}

static void write(void *state)
{
    const document *d = state;
    buf_reset(&written);
    json_write_shape(&written, d->of, d->value);
    invariant(written.len == d->text.len);
}

/* Orders until the text is as long as it should be; the last one's customer fills it up. */
static void put_large(buf *out)
{
    buf_append(out, STR("{\"orders\":["));
    for (int i = 0; out->len < LARGE_BYTES - 600; i++) {
        buf_append_format(out,
                          "{\"id\":%d,\"customer\":\"Ada Lovelace\",\"comment\":%s,"
                          "\"placed_at\":\"2026-11-21T07:35:%02dZ\",\"paid\":%s,\"items\":["
                          "{\"sku\":\"BK-%05d\",\"count\":%d,\"price\":%d.25},"
                          "{\"sku\":\"PN-%05d\",\"count\":1,\"price\":0.1}]},",
                          1000000 + i, i % 3 ? "null" : "\"say \\\"hello\\\"\\nto Bj\xc3\xb6rn\"",
                          i % 60, i % 2 ? "true" : "false", i, i % 9 + 1, i % 90 + 10, i * 7);
    }
    buf_append(out, STR("{\"id\":1,\"customer\":\""));
    const str end = STR("\",\"comment\":null,\"placed_at\":\"2026-11-21T07:35:00Z\",\"paid\":true,"
                        "\"items\":[]}]}");
    while (out->len + end.len < LARGE_BYTES)
        buf_append_char(out, 'a');
    buf_append(out, end);
}

int main(int argc, char **argv)
{
    static small small_value;
    static large large_value;
    buf large_text;
    buf_init(&large_text, LARGE_BYTES);
    put_large(&large_text);
    buf_init(&written, LARGE_BYTES);
    document documents[] = {
        { .of = small_shape(), .text = STR(SMALL), .value = &small_value },
        { .of = large_shape(), .text = buf_str(&large_text), .value = &large_value },
    };
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        arena_init(&documents[i].arena, (size_t)16 << 20);
        parse(&documents[i]);
        write(&documents[i]);
        invariant(str_eq(buf_str(&written), documents[i].text));
    }
    const measure_case cases[] = {
        { "json_parse_100", parse, &documents[0] },
        { "json_write_100", write, &documents[0] },
        { "json_parse_65536", parse, &documents[1] },
        { "json_write_65536", write, &documents[1] },
    };
    const int status = measure_main(argc, argv, cases, ARRAY_LEN(cases));
    for (size_t i = 0; i < ARRAY_LEN(documents); i++)
        arena_deinit(&documents[i].arena);
    buf_deinit(&written);
    buf_deinit(&large_text);
    return status;
}
