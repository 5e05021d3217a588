/* The chunked coding: exact framing, its limits, and that where the bytes are cut does not matter.
 */
#include "chunked.h"

#include "tests/support/in_fiber.h"

#include <time.h>

#define BODY_BYTES_MAX 4096

static const http_chunked_limits LIMITS = { .extension_bytes_max = 1024,
                                            .trailer_bytes_max = 4096 };

/* What became of an input that was given in pieces. */
typedef struct decoded {
    http_chunked_result result; /* the last one: MORE, END or BAD */
    char body[BODY_BYTES_MAX];
    size_t len;
    size_t taken; /* of the input, when it ended */
} decoded;

static void feed(http_chunked *c, str piece, decoded *out)
{
    char *copy = malloc(piece.len + !piece.len); /* exact, so that a look behind it is found */
    memcpy(copy, piece.ptr, piece.len);
    str input = { copy, piece.len }, data;
    while ((out->result = http_chunked_next(c, &input, &data)) == HTTP_CHUNKED_DATA) {
        assert_true(out->len + data.len <= BODY_BYTES_MAX && data.len > 0);
        memcpy(out->body + out->len, data.ptr, data.len);
        out->len += data.len;
    }
    out->taken += piece.len - input.len;
    free(copy);
}

/* Decodes pieces of at most `step` bytes, the first one of `first`. */
static void decode(str input, size_t first, size_t step, decoded *out)
{
    http_chunked c;
    http_chunked_init(&c, &LIMITS);
    *out = (decoded){ .result = HTTP_CHUNKED_MORE };
    for (size_t at = 0, part = first; at < input.len && out->result == HTTP_CHUNKED_MORE;
         at += part, part = step) {
        feed(&c, str_slice(input, at, part), out);
    }
}

static void check_every_cut(str input)
{
    decoded whole, cut;
    decode(input, input.len, input.len, &whole);
    for (size_t first = 1; first <= input.len; first++) {
        decode(input, first, first == input.len ? 1 : input.len, &cut);
        assert_int_equal(cut.result, whole.result);
        if (whole.result == HTTP_CHUNKED_BAD)
            continue;
        assert_int_equal(cut.len, whole.len);
        assert_memory_equal(cut.body, whole.body, whole.len);
        assert_int_equal(cut.taken, whole.taken);
    }
    decode(input, 1, 1, &cut);
    assert_int_equal(cut.result, whole.result);
}

typedef struct chunked_case {
    str input;
    http_chunked_result result;
    const char *body; /* when END */
    size_t rest;      /* bytes behind the end */
} chunked_case;

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define END "0\r\n\r\n"

static const chunked_case CASES[] = {
    { BYTES(END), HTTP_CHUNKED_END, "" },
    { BYTES("5\r\nhello\r\n" END), HTTP_CHUNKED_END, "hello" },
    { BYTES("5\r\nhello\r\n" END "GET /"), HTTP_CHUNKED_END, "hello", 5 },
    { BYTES("1\r\na\r\n00002;x=\"y\"\r\nbc\r\nA\r\n0123456789\r\n" END), HTTP_CHUNKED_END,
      "abc0123456789" },
    { BYTES("3\r\n\r\n0\r\n" END), HTTP_CHUNKED_END, "\r\n0" },
    { BYTES("1\r\na\r\n0;last\r\nA: b\r\nC:\r\n\r\n"), HTTP_CHUNKED_END, "a" },
    { BYTES("5\r\nhel"), HTTP_CHUNKED_MORE },
    { BYTES("5\r\nhello\r\n0\r\n"), HTTP_CHUNKED_MORE },
    { BYTES("5\r\nhello\r\n0\r\nA: b\r\n"), HTTP_CHUNKED_MORE },
    { BYTES("000000000000000\r\n\r\n"), HTTP_CHUNKED_END, "" },
    { BYTES("0000000000000000\r\n\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("fffffffffffffff\r\nx"), HTTP_CHUNKED_MORE },
    { BYTES("10000000000000000\r\nx"), HTTP_CHUNKED_BAD },
    { BYTES("4\r\nWiki\r\nfffffffffffffffd\r\nabc"), HTTP_CHUNKED_BAD },
    { BYTES("\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("g\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("5\nhello\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("5 \r\nhello\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("5\rhello\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("5\r\nhello" END), HTTP_CHUNKED_BAD },
    { BYTES("5\r\nhello\n" END), HTTP_CHUNKED_BAD },
    { BYTES("5\r\nhello\rx" END), HTTP_CHUNKED_BAD },
    { BYTES("5;\x01\r\nhello\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=b;c=\"d;\\\"\\\\ \t\xFF\r\";e\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=b;c=\"d;\\\"\\\\ \t\xFF\";e\r\nx\r\n" END), HTTP_CHUNKED_END, "x" },
    { BYTES("1 \t; a = b\t;c =\"\" ; d\r\nx\r\n" END), HTTP_CHUNKED_END, "x" },
    { BYTES("1;a;b;c\r\nx\r\n0;d=e\r\n\r\n"), HTTP_CHUNKED_END, "x" },
    { BYTES("1;\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;;\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;;=\x80\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;=a\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=b=c\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a b\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=b c\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a \r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=b \r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1 \r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1 a\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;\x80\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=\x80\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=\"b\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=\"b\\\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=\"b\\\"\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=\"b\"c\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=\"\x01\"\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a=b\"c\"\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a[]\r\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("1;a\nx\r\n" END), HTTP_CHUNKED_BAD },
    { BYTES("0\r\n\n"), HTTP_CHUNKED_BAD },
    { BYTES("0\r\n A: b\r\n\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("0\r\nA\r\n\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("0\r\n: b\r\n\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("0\r\nA : b\r\n\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("0\r\nA: b\0\r\n\r\n"), HTTP_CHUNKED_BAD },
    { BYTES("0\r\nA: b\rc\r\n\r\n"), HTTP_CHUNKED_BAD },
};

static void test_chunked_cases_have_their_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const chunked_case *c = &CASES[i];
        decoded d;
        decode(c->input, c->input.len, 1, &d);
        if (d.result != c->result)
            print_error("case %zu: result %d\n", i, d.result);
        assert_int_equal(d.result, c->result);
        if (c->result != HTTP_CHUNKED_END)
            continue;
        assert_str_equal(((str){ d.body, d.len }), str_from_c(c->body));
        assert_int_equal(d.taken, c->input.len - c->rest);
    }
}

static void test_chunked_cut_at_every_byte_decodes_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        check_every_cut(CASES[i].input);
}

static void test_chunked_stays_bad(void **state)
{
    (void)state;
    http_chunked c;
    http_chunked_init(&c, &LIMITS);
    str bad = STR("x"), good = STR(END), data;
    assert_int_equal(http_chunked_next(&c, &bad, &data), HTTP_CHUNKED_BAD);
    assert_int_equal(http_chunked_next(&c, &good, &data), HTTP_CHUNKED_BAD);
    assert_int_equal(good.len, 5);
}

/* `prefix`, `count` bytes, `suffix`. */
static http_chunked_result decode_long(const char *prefix, size_t count, const char *suffix)
{
    static char text[16384];
    size_t len = strlen(prefix);
    memcpy(text, prefix, len);
    memset(text + len, 'a', count);
    len += count;
    memcpy(text + len, suffix, strlen(suffix));
    decoded d;
    decode((str){ text, len + strlen(suffix) }, 1000, 1000, &d);
    return d.result;
}

static void test_chunked_overhead_is_limited(void **state)
{
    (void)state;
    const size_t extension = LIMITS.extension_bytes_max, trailer = LIMITS.trailer_bytes_max;
    assert_int_equal(decode_long("0;", extension - 1, "\r\n\r\n"), HTTP_CHUNKED_END);
    assert_int_equal(decode_long("0;", extension, "\r\n\r\n"), HTTP_CHUNKED_BAD);
    assert_int_equal(decode_long("0 ;", extension - 1, "\r\n\r\n"), HTTP_CHUNKED_BAD);
    assert_int_equal(decode_long("1;a\r\nx\r\n0;", extension - 3, "\r\n\r\n"), HTTP_CHUNKED_END);
    assert_int_equal(decode_long("1;a\r\nx\r\n0;", extension - 2, "\r\n\r\n"), HTTP_CHUNKED_BAD);
    assert_int_equal(decode_long("0\r\nA:", trailer - 2, "\r\n\r\n"), HTTP_CHUNKED_END);
    assert_int_equal(decode_long("0\r\nA:", trailer - 1, "\r\n\r\n"), HTTP_CHUNKED_BAD);
    assert_int_equal(decode_long("0\r\nA:\r\nB:", trailer - 3, "\r\n\r\n"), HTTP_CHUNKED_BAD);
    assert_int_equal(decode_long("0\r\n", trailer + 1, ":\r\n\r\n"), HTTP_CHUNKED_BAD);
}

/* Any body, in any chunks, in any pieces, comes out as it went in. */
static void test_chunked_random_bodies_come_out_whole(void **state)
{
    (void)state;
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < 3000; round++) {
        char body[BODY_BYTES_MAX], text[2 * BODY_BYTES_MAX];
        const size_t body_len = (size_t)random() % 1000;
        size_t len = 0;
        for (size_t i = 0; i < body_len; i++)
            body[i] = (char)random();
        for (size_t at = 0, part; at < body_len; at += part) {
            part = 1 + (size_t)random() % 300;
            part = part < body_len - at ? part : body_len - at;
            len += (size_t)sprintf(text + len, random() % 2 ? "%zx\r\n" : "%04zX;e=1\r\n", part);
            memcpy(text + len, body + at, part);
            len += part;
            len += (size_t)sprintf(text + len, "\r\n");
        }
        len +=
            (size_t)sprintf(text + len, random() % 2 ? "0\r\n\r\nnext" : "00\r\nA: b\r\n\r\nnext");
        decoded d;
        decode((str){ text, len }, 1 + (size_t)random() % 50, 1 + (size_t)random() % 500, &d);
        assert_int_equal(d.result, HTTP_CHUNKED_END);
        assert_int_equal(d.taken, len - 4);
        assert_int_equal(d.len, body_len);
        assert_memory_equal(d.body, body, body_len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked_cases_have_their_result),
        cmocka_unit_test(test_chunked_cut_at_every_byte_decodes_the_same),
        cmocka_unit_test(test_chunked_stays_bad),
        cmocka_unit_test(test_chunked_overhead_is_limited),
        cmocka_unit_test(test_chunked_random_bodies_come_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
