/* Multipart bodies: good ones are read the same however they are cut, bad ones are refused, limits
 * hold. */
#include "multipart.h"

#include "tests/support/random.h"

typedef struct cut_source {
    str rest;
    size_t step; /* bytes a piece */
} cut_source;

static error read_cut(void *arg, str *piece)
{
    cut_source *s = arg;
    *piece = str_slice(s->rest, 0, s->step);
    s->rest = str_slice(s->rest, piece->len, s->rest.len);
    return OK;
}

/* "name|filename|type|data;" of each part; the error, if there is one, in `*e`. */
static str read_all(str body, str boundary, size_t step, const http_multipart_options *options,
                    error *e)
{
    arena *a = fiber_arena();
    cut_source source = { body, step };
    http_multipart *m =
        http_multipart_new(a, (multipart_source){ read_cut, &source }, boundary, options);
    buf out;
    buf_init_arena(&out, a, 1 << 20);
    for (;;) {
        http_part part;
        str piece;
        *e = http_multipart_next(m, &part);
        if (e->kind || !part.name.ptr)
            return buf_str(&out);
        buf_append_format(&out, "%.*s|%.*s|%.*s|", STR_ARG(part.name),
                          STR_ARG(part.filename.ptr ? part.filename : STR("-")),
                          STR_ARG(part.content_type.ptr ? part.content_type : STR("-")));
        do {
            *e = http_part_read(m, &piece);
            if (e->kind)
                return buf_str(&out);
            buf_append(&out, piece);
        } while (piece.len > 0);
        buf_append_char(&out, ';');
    }
}

#define FIELD(name_, data_) \
    "Content-Disposition: form-data; name=\"" name_ "\"\r\n\r\n" data_ "\r\n"
#define FILE_(name_, file_, type_, data_)                                            \
    "Content-Disposition: form-data; name=\"" name_ "\"; filename=\"" file_ "\"\r\n" \
    "Content-Type: " type_ "\r\n\r\n" data_ "\r\n"

typedef struct good_body {
    const char *name;
    str body;
    const char *parts;
} good_body;

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }

static const good_body GOOD[] = {
    { "one field", BYTES("--b\r\n" FIELD("a", "1") "--b--\r\n"), "a|-|-|1;" },
    { "no line end behind", BYTES("--b\r\n" FIELD("a", "1") "--b--"), "a|-|-|1;" },
    { "two and a file",
      BYTES("--b\r\n" FIELD("a", "1") "--b\r\n" FILE_("f", "x.png", "image/png",
                                                      "PNG") "--b\r\n" FIELD("c", "") "--b--\r\n"),
      "a|-|-|1;f|x.png|image/png|PNG;c|-|-|;" },
    { "preamble and epilogue",
      BYTES("ignored\r\n--b\r\n" FIELD("a", "1") "--b--\r\nignored\r\n--b\r\n"), "a|-|-|1;" },
    { "data like a boundary", BYTES("--b\r\n" FIELD("a", "--b\r\n-\r\n--a\r\n--") "--b--"),
      "a|-|-|--b\r\n-\r\n--a\r\n--;" },
    { "blanks behind a boundary", BYTES("--b \t\r\n" FIELD("a", "1") "--b--"), "a|-|-|1;" },
    { "no parts", BYTES("--b--\r\n"), "" },
    { "quoted pairs", BYTES("--b\r\n" FILE_("a", "q\\\"\\\\.txt", "text/plain", "1") "--b--"),
      "a|q\"\\.txt|text/plain|1;" },
    { "backslashes of an old browser",
      BYTES("--b\r\n" FILE_("a", "C:\\temp\\x.txt", "text/plain", "1") "--b--"),
      "a|C:\\temp\\x.txt|text/plain|1;" },
    { "not quoted, other case, other fields",
      BYTES("--b\r\nX-Other: y\r\ncontent-disposition: FORM-DATA; NAME=a\r\n\r\n1\r\n--b--"),
      "a|-|-|1;" },
    { "a semicolon in a name",
      BYTES(
          "--b\r\nContent-Disposition: form-data; name=\"a;b\"; filename=\"c\"\r\n\r\n1\r\n--b--"),
      "a;b|c|-|1;" },
};

static void test_multipart_good_bodies_are_read_the_same_however_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        for (size_t step = 1; step <= GOOD[i].body.len; step++) {
            error e;
            const str parts = read_all(GOOD[i].body, STR("b"), step, NULL, &e);
            if (e.kind)
                print_error("%s in pieces of %zu\n", GOOD[i].name, step);
            assert_ok(e);
            assert_str_equal(parts, str_from_c(GOOD[i].parts));
        }
    }
}

static const good_body BAD[] = {
    { "empty", BYTES(""), NULL },
    { "no boundary", BYTES("hello"), NULL },
    { "never ends", BYTES("--b\r\n" FIELD("a", "1")), NULL },
    { "ends in data", BYTES("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nhal"), NULL },
    { "ends in a head", BYTES("--b\r\nContent-Dispos"), NULL },
    { "another boundary only", BYTES("--c\r\n" FIELD("a", "1") "--c--"), NULL },
    { "text behind a boundary", BYTES("--bx\r\n" FIELD("a", "1") "--b--"), NULL },
    { "bare LF", BYTES("--b\r\nContent-Disposition: form-data; name=a\n\n1\r\n--b--"), NULL },
    { "no name", BYTES("--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--"), NULL },
    { "no disposition", BYTES("--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--"), NULL },
    { "attachment", BYTES("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b--"),
      NULL },
    { "quote never ends",
      BYTES("--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--b--"), NULL },
    { "garbage behind",
      BYTES("--b\r\nContent-Disposition: form-data; name=\"a\"x\r\n\r\n1\r\n--b--"), NULL },
    { "space in a field's name", BYTES("--b\r\nContent Disposition: x\r\n\r\n1\r\n--b--"), NULL },
    { "not UTF-8", BYTES("--b\r\nContent-Disposition: form-data; name=\"\xFF\"\r\n\r\n1\r\n--b--"),
      NULL },
};

static void test_multipart_bad_bodies_are_refused_however_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        for (size_t step = 1; step <= BAD[i].body.len + 1; step += 1 + step / 8) {
            error e;
            read_all(BAD[i].body, STR("b"), step, NULL, &e);
            if (!e.kind)
                print_error("%s in pieces of %zu\n", BAD[i].name, step);
            assert_fails(HTTP_BAD_REQUEST, e);
        }
    }
}

static void test_multipart_limits_hold(void **state)
{
    (void)state;
    const http_multipart_options options = { .parts_max = 2, .part_bytes_max = 3 };
    error e;
    read_all(STR("--b\r\n" FIELD("a", "123") "--b\r\n" FIELD("b", "123") "--b--"), STR("b"), 5,
             &options, &e);
    assert_ok(e);
    read_all(
        STR("--b\r\n" FIELD("a", "1") "--b\r\n" FIELD("b", "2") "--b\r\n" FIELD("c", "3") "--b--"),
        STR("b"), 5, &options, &e);
    assert_fails(HTTP_BAD_REQUEST, e);
    read_all(STR("--b\r\n" FIELD("a", "1234") "--b--"), STR("b"), 5, &options, &e);
    assert_fails(HTTP_BODY_TOO_LARGE, e);
    char *head = arena_alloc(fiber_arena(), 20000, 1);
    memset(head, 'x', 20000);
    memcpy(head, "--b\r\n", 5);
    read_all((str){ head, 20000 }, STR("b"), 1000, NULL, &e);
    assert_fails(HTTP_BAD_REQUEST, e);
}

static void test_multipart_part_left_unread_is_skipped(void **state)
{
    (void)state;
    cut_source source = { STR("--b\r\n" FIELD("a", "long data") "--b\r\n" FIELD("b", "2") "--b--"),
                          3 };
    http_multipart *m =
        http_multipart_new(fiber_arena(), (multipart_source){ read_cut, &source }, STR("b"), NULL);
    http_part part;
    str text;
    assert_ok(http_multipart_next(m, &part));
    assert_ok(http_multipart_next(m, &part));
    assert_str_equal(part.name, STR("b"));
    assert_fails(HTTP_BODY_TOO_LARGE, http_part_bytes(m, 0, &text));
    assert_ok(http_multipart_next(m, &part));
    assert_null(part.name.ptr);
    assert_ok(http_multipart_next(m, &part));
    assert_null(part.name.ptr);
}

static void test_multipart_boundary_is_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *boundary; /* NULL: none */
        bool is_multipart;
    } cases[] = {
        { "multipart/form-data; boundary=abc", "abc", true },
        { "Multipart/Form-Data;BOUNDARY=\"a b\"", "a b", true },
        { "multipart/form-data; charset=utf-8; boundary=abc", "abc", true },
        { "multipart/form-data", NULL, true },
        { "multipart/form-data; boundary=", NULL, true },
        { "multipart/form-data; boundary=\"abc", NULL, true },
        { "multipart/form-data; boundary=a\"b", NULL, true },
        { "multipart/form-data; boundary=\"abc \"", NULL, true },
        { "multipart/mixed; boundary=abc", NULL, false },
        { "application/json", NULL, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool is_multipart;
        const str b =
            http_multipart_boundary(fiber_arena(), str_from_c(cases[i].type), &is_multipart);
        assert_int_equal(is_multipart, cases[i].is_multipart);
        assert_int_equal(b.ptr != NULL, cases[i].boundary != NULL);
        if (b.ptr)
            assert_str_equal(b, str_from_c(cases[i].boundary));
    }
}

/* Random bytes between boundaries come out as they went in. */
static void test_multipart_any_data_comes_out_as_it_went_in(void **state)
{
    (void)state;
    random_state r = random_start();
    for (int round = 0; round < 300; round++) {
        char data[300];
        const size_t len = random_below(&r, sizeof data);
        for (size_t i = 0; i < len; i++)
            data[i] = "\r\n-bxy"[random_below(&r, 6)];
        const str s = { data, len };
        if (memmem(data, len, "\r\n--bb", 6) || str_starts_with(s, STR("--bb")))
            continue;
        buf body;
        error e;
        buf_init_arena(&body, fiber_arena(), 1000);
        buf_append(&body, STR("--bb\r\nContent-Disposition: form-data; name=a\r\n\r\n"));
        buf_append(&body, s);
        buf_append(&body, STR("\r\n--bb--\r\n"));
        const str parts = read_all(buf_str(&body), STR("bb"), 1 + random_below(&r, 40), NULL, &e);
        assert_ok(e);
        assert_int_equal(parts.len, len + 7);
        assert_memory_equal(parts.ptr + 6, data, len);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multipart_good_bodies_are_read_the_same_however_cut),
        cmocka_unit_test(test_multipart_bad_bodies_are_refused_however_cut),
        cmocka_unit_test(test_multipart_limits_hold),
        cmocka_unit_test(test_multipart_part_left_unread_is_skipped),
        cmocka_unit_test(test_multipart_boundary_is_read_strictly),
        cmocka_unit_test(test_multipart_any_data_comes_out_as_it_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
