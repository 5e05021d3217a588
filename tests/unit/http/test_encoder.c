/* Encoders, by what the libraries' own decoders make of what they write. */
#include "encoder.h"

#include "core/fault.h"
#include "core/memory.h"
#include "tests/support/decoder.h"
#include "tests/support/random.h"

#define BODY_BYTES_MAX ((size_t)3 << 20)

static char *body, *coded, *decoded;

static const struct {
    const char *name;
    const http_codec *codec;
    int level, level_max;
} CODINGS[] = {
    { "zstd", &HTTP_CODEC_ZSTD, 3, 19 },
    { "br", &HTTP_CODEC_BR, 4, 11 },
    { "gzip", &HTTP_CODEC_GZIP, 5, 9 },
};

/* Rows of JSON, as long as asked for. */
static str make_body(size_t bytes)
{
    size_t at = 0;
    char row[80];
    for (unsigned i = 0; at < bytes; i++) {
        const int len = snprintf(row, sizeof row, "{\"id\":%u,\"title\":\"row %u\",\"done\":%s},",
                                 i, i * 2654435761U, i % 3 ? "true" : "false");
        const size_t taken = (size_t)len < bytes - at ? (size_t)len : bytes - at;
        memcpy(body + at, row, taken);
        at += taken;
    }
    return (str){ body, bytes };
}

static str make_noise(random_state *r, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        body[i] = (char)random_next(r);
    return (str){ body, bytes };
}

static http_encoder *begin(http_encoders **pool, size_t coding, int level, size_t bytes)
{
    http_encoder *e = http_encoder_acquire(pool, CODINGS[coding].codec, 64);
    assert_non_null(e);
    assert_true(http_encoder_begin(e, level, bytes));
    return e;
}

static void check_decodes(const char *coding, str bytes, str wanted)
{
    size_t len = 0;
    if (!decode_all(coding, bytes, decoded, BODY_BYTES_MAX + 1, &len))
        fail_msg("%s: %zu bytes do not decode", coding, bytes.len);
    assert_str_equal(((str){ decoded, len }), wanted);
}

/* The coded bytes of a whole body, in `coded`. */
static str encode_whole(http_encoders **pool, size_t coding, int level, str bytes)
{
    http_encoder *e = begin(pool, coding, level, bytes.len);
    http_encode_io io = { .in = bytes, .out = coded, .room = 2 * BODY_BYTES_MAX, .ends = true };
    assert_int_equal(http_encoder_step(e, &io), HTTP_ENCODED_ALL);
    assert_int_equal(io.in.len, 0);
    http_encoder_release(&e);
    assert_null(e);
    return str_between(coded, io.out);
}

static void test_encoder_whole_bodies_of_every_size_decode(void **state)
{
    static const size_t sizes[] = { 0,    1,     2,     100,   1023,  1024,  1025,   8191,   8192,
                                    8193, 16383, 32768, 65535, 65536, 65537, 131072, 1048577 };
    (void)state;
    http_encoders *pool = NULL;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            const str in = make_body(sizes[i]);
            const str out = encode_whole(&pool, c, CODINGS[c].level, in);
            check_decodes(CODINGS[c].name, out, in);
            assert_true(sizes[i] < 1024 || out.len < in.len);
        }
    }
    http_encoders_free(&pool);
}

static void test_encoder_every_level_decodes(void **state)
{
    (void)state;
    http_encoders *pool = NULL;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        for (int level = 1; level <= CODINGS[c].level_max; level++) {
            const str in = make_body(20000);
            check_decodes(CODINGS[c].name, encode_whole(&pool, c, level, in), in);
        }
    }
    http_encoders_free(&pool);
}

/* The same bytes again from an encoder that was used before: tags of coded bodies stand on it. */
static void test_encoder_used_again_writes_the_same(void **state)
{
    (void)state;
    http_encoders *pool = NULL;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        char first[8192];
        const str once = encode_whole(&pool, c, CODINGS[c].level, make_body(5000));
        assert_true(once.len <= sizeof first);
        memcpy(first, once.ptr, once.len);
        const size_t len = once.len;
        (void)encode_whole(&pool, c, CODINGS[c].level_max, make_body(70000));
        assert_str_equal(encode_whole(&pool, c, CODINGS[c].level, make_body(5000)),
                         ((str){ first, len }));
    }
    http_encoders_free(&pool);
}

/* zlib and brotli by what they ask our allocator for; libzstd has its own. */
static void test_encoder_used_again_takes_no_memory(void **state)
{
    (void)state;
    http_encoders *pool = NULL;
    for (size_t c = 1; c < ARRAY_LEN(CODINGS); c++) {
        const str in = make_body(5000);
        (void)encode_whole(&pool, c, CODINGS[c].level, in);
        fault_at("memory", UINT32_MAX);
        for (int i = 0; i < 10; i++)
            (void)encode_whole(&pool, c, CODINGS[c].level, in);
        assert_int_equal(fault_passed("memory"), 0);
        fault_clear();
    }
    http_encoders_free(&pool);
}

static void test_encoder_without_room_says_so(void **state)
{
    (void)state;
    random_state r = random_start();
    http_encoders *pool = NULL;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        const str noise = make_noise(&r, 3000);
        http_encoder *e = begin(&pool, c, CODINGS[c].level, noise.len);
        http_encode_io io = { .in = noise, .out = coded, .room = noise.len - 1, .ends = true };
        assert_int_equal(http_encoder_step(e, &io), HTTP_ENCODED_FULL);
        http_encoder_release(&e);
        /* and is as good as new */
        check_decodes(CODINGS[c].name, encode_whole(&pool, c, CODINGS[c].level, noise), noise);
    }
    http_encoders_free(&pool);
}

/* What a step wrote, by as many calls as its little room takes. */
static void encode_piece(http_encoder *e, str piece, bool ends, size_t room, size_t *len)
{
    http_encode_io io = { .in = piece, .ends = ends };
    http_encoded result;
    do {
        io.out = coded + *len;
        io.room = room;
        result = http_encoder_step(e, &io);
        assert_int_not_equal(result, HTTP_ENCODED_BROKEN);
        *len = (size_t)(io.out - coded);
        assert_true(*len <= 2 * BODY_BYTES_MAX - room);
    } while (result == HTTP_ENCODED_FULL);
    assert_int_equal(io.in.len, 0);
}

/* A piece that was written is a piece that can be read, before the next one is there. */
static void test_encoder_pieces_can_be_read_one_by_one(void **state)
{
    (void)state;
    random_state r = random_start();
    http_encoders *pool = NULL;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        const str in = make_body(200000);
        http_encoder *e = begin(&pool, c, CODINGS[c].level, HTTP_ENCODE_PIECES);
        decoder *d = decoder_new(CODINGS[c].name);
        size_t len = 0, given = 0, read = 0, at = 0;
        for (int i = 0; at < in.len; i++) {
            const size_t most = i % 4 ? 3000 : 60;
            const str piece = str_slice(in, at, 1 + random_below(&r, most));
            encode_piece(e, piece, false, HTTP_ENCODE_ROOM_MIN + random_below(&r, 500), &len);
            at += piece.len;
            assert_true(decoder_take(d, (str){ coded + given, len - given }, decoded + read,
                                     BODY_BYTES_MAX - read, &read));
            given = len;
            assert_str_equal(((str){ decoded, read }), str_slice(in, 0, at));
            assert_false(decoder_at_end(d));
        }
        encode_piece(e, STR(""), true, HTTP_ENCODE_ROOM_MIN, &len);
        assert_true(decoder_take(d, (str){ coded + given, len - given }, decoded + read,
                                 BODY_BYTES_MAX - read, &read));
        assert_int_equal(read, in.len);
        assert_true(decoder_at_end(d));
        decoder_free(&d);
        http_encoder_release(&e);
    }
    http_encoders_free(&pool);
}

static void test_encoder_body_of_no_pieces_ends(void **state)
{
    (void)state;
    http_encoders *pool = NULL;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        http_encoder *e = begin(&pool, c, CODINGS[c].level, HTTP_ENCODE_PIECES);
        size_t len = 0;
        encode_piece(e, STR(""), true, 100, &len);
        check_decodes(CODINGS[c].name, (str){ coded, len }, STR(""));
        http_encoder_release(&e);
    }
    http_encoders_free(&pool);
}

static void test_encoder_given_back_halfway_begins_anew(void **state)
{
    (void)state;
    http_encoders *pool = NULL;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        http_encoder *e = begin(&pool, c, CODINGS[c].level, HTTP_ENCODE_PIECES);
        const http_encoder *first = e;
        size_t len = 0;
        encode_piece(e, make_body(9000), false, 500, &len);
        http_encoder_release(&e);
        e = http_encoder_acquire(&pool, CODINGS[c].codec, 64);
        assert_ptr_equal(e, first);
        http_encoder_release(&e);
        const str in = make_body(4000);
        check_decodes(CODINGS[c].name, encode_whole(&pool, c, CODINGS[c].level, in), in);
    }
    http_encoders_free(&pool);
}

static void test_encoders_past_their_number_are_refused(void **state)
{
    (void)state;
    http_encoders *pool = NULL;
    http_encoder *all[8];
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_non_null(all[i] = http_encoder_acquire(&pool, &HTTP_CODEC_GZIP, ARRAY_LEN(all)));
    assert_null(http_encoder_acquire(&pool, &HTTP_CODEC_GZIP, ARRAY_LEN(all)));
    assert_null(http_encoder_acquire(&pool, &HTTP_CODEC_BR, ARRAY_LEN(all)));
    http_encoder *passing = http_encoder_acquire(&pool, &HTTP_CODEC_GZIP, 0);
    assert_non_null(passing);
    assert_null(http_encoder_acquire(&pool, &HTTP_CODEC_GZIP, ARRAY_LEN(all)));
    http_encoder_release(&passing);
    assert_null(http_encoder_acquire(&pool, &HTTP_CODEC_GZIP, ARRAY_LEN(all)));
    http_encoder_release(&all[3]);
    assert_non_null(all[3] = http_encoder_acquire(&pool, &HTTP_CODEC_BR, ARRAY_LEN(all)));
    /* The pool goes first, as when a worker ends with answers on their way. */
    http_encoders_free(&pool);
    assert_null(pool);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        http_encoder_release(&all[i]);
}

static void test_encoder_without_memory_is_none(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(CODINGS); c++) {
        int refused = 0;
        for (uint32_t n = 1; n < 100; n++) {
            http_encoders *pool = NULL;
            const str in = make_body(9000);
            fault_at("memory", n);
            http_encoder *e = http_encoder_acquire(&pool, CODINGS[c].codec, 1);
            const bool begun = e && http_encoder_begin(e, CODINGS[c].level, in.len);
            http_encode_io io = { .in = in, .out = coded, .room = in.len, .ends = true };
            const bool done = begun && http_encoder_step(e, &io) == HTTP_ENCODED_ALL;
            fault_clear();
            http_encoder_release(&e);
            http_encoders_free(&pool);
            refused += !done;
            if (done) {
                check_decodes(CODINGS[c].name, str_between(coded, io.out), in);
                break;
            }
        }
        assert_true(refused >= 2 && refused < 90);
    }
}

static int set_up(void **state)
{
    (void)state;
    body = MEMORY_NEW_ARRAY(char, BODY_BYTES_MAX);
    coded = MEMORY_NEW_ARRAY(char, 2 * BODY_BYTES_MAX);
    decoded = MEMORY_NEW_ARRAY(char, BODY_BYTES_MAX + 1);
    return body && coded && decoded ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    memory_free(body);
    memory_free(coded);
    memory_free(decoded);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoder_whole_bodies_of_every_size_decode),
        cmocka_unit_test(test_encoder_every_level_decodes),
        cmocka_unit_test(test_encoder_used_again_writes_the_same),
        cmocka_unit_test(test_encoder_used_again_takes_no_memory),
        cmocka_unit_test(test_encoder_without_room_says_so),
        cmocka_unit_test(test_encoder_pieces_can_be_read_one_by_one),
        cmocka_unit_test(test_encoder_body_of_no_pieces_ends),
        cmocka_unit_test(test_encoder_given_back_halfway_begins_anew),
        cmocka_unit_test(test_encoders_past_their_number_are_refused),
        cmocka_unit_test(test_encoder_without_memory_is_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
