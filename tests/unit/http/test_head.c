/* Request heads: what is taken and what is refused, and that where the bytes are cut does not
 * matter. */
#include "head.h"

#include "tests/support/in_fiber.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const http_head_limits LIMITS = {
    .request_line_bytes_max = 8192,
    .fields_bytes_max = 32768,
    .fields_max = HTTP_FIELDS_MAX,
};

/* A copy of exactly `len` bytes at a new address, so that a look behind them is found, and slices
 * of the copy before would be too. */
static char *fresh_copy(str bytes)
{
    char *copy = malloc(bytes.len + !bytes.len);
    assert_non_null(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    return copy;
}

/* Parses `head` given up to each of the `cuts`, then whole. The bytes move each time. The caller
 * frees what `*bytes` is set to, which the slices in `h` are of. */
static http_head_result parse_cut(http_head *h, str head, const size_t *cuts, size_t cut_count,
                                  char **bytes)
{
    http_head_init(h);
    for (size_t i = 0; i <= cut_count; i++) {
        const size_t len = i < cut_count ? cuts[i] : head.len;
        *bytes = fresh_copy(str_slice(head, 0, len));
        const http_head_result r = http_head_parse(h, (str){ *bytes, len }, &LIMITS);
        if (r != HTTP_HEAD_INCOMPLETE || i == cut_count)
            return r;
        free(*bytes);
    }
    return HTTP_HEAD_INCOMPLETE;
}

static void assert_same(const http_head *a, const http_head *b, http_head_result r)
{
    if (r == HTTP_HEAD_BAD) {
        assert_int_equal(a->status, b->status);
        assert_string_equal(a->reason, b->reason);
        return;
    }
    if (r != HTTP_HEAD_DONE)
        return;
    assert_int_equal(a->method, b->method);
    assert_str_equal(a->method_name, b->method_name);
    assert_str_equal(a->target, b->target);
    assert_int_equal(a->minor_version, b->minor_version);
    assert_int_equal(a->keep_alive, b->keep_alive);
    assert_int_equal(a->chunked, b->chunked);
    assert_int_equal(a->has_content_length, b->has_content_length);
    assert_int_equal(a->expects_continue, b->expects_continue);
    assert_int_equal(a->content_length, b->content_length);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->fields.count, b->fields.count);
    for (uint32_t i = 0; i < a->fields.count; i++) {
        assert_str_equal(a->fields.items[i].name, b->fields.items[i].name);
        assert_str_equal(a->fields.items[i].value, b->fields.items[i].value);
    }
}

typedef struct head_case {
    const char *name;
    str bytes;
    http_head_result result;
    uint16_t status; /* when BAD */
} head_case;

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define HOST "Host: x\r\n"

static const head_case CASES[] = {
    { "short", BYTES("GET / HTTP/1.1\r\n" HOST "\r\n"), HTTP_HEAD_DONE },
    { "with more behind", BYTES("GET / HTTP/1.1\r\n" HOST "\r\nGET / HT"), HTTP_HEAD_DONE },
    { "after an empty line", BYTES("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), HTTP_HEAD_DONE },
    { "many fields",
      BYTES("PATCH /a/b?c=d HTTP/1.1\r\nhOsT: x:80\r\nA: \t1 2 \t\r\nB:\r\nC:3\r\nConnection: x, "
            "close\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"),
      HTTP_HEAD_DONE },
    { "chunked", BYTES("POST * HTTP/1.1\r\n\r\n"), HTTP_HEAD_BAD, 400 },
    { "1.0", BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), HTTP_HEAD_DONE },
    { "no end", BYTES("GET / HTTP/1.1\r\n" HOST "A: b\r\n"), HTTP_HEAD_INCOMPLETE },
    { "nothing", BYTES(""), HTTP_HEAD_INCOMPLETE },
    { "bare LF", BYTES("GET / HTTP/1.1\n" HOST "\r\n"), HTTP_HEAD_BAD, 400 },
    { "bare CR", BYTES("GET / HTTP/1.1\r\nA: b\rc\r\n" HOST "\r\n"), HTTP_HEAD_BAD, 400 },
    { "folded", BYTES("GET / HTTP/1.1\r\nA: b\r\n c\r\n" HOST "\r\n"), HTTP_HEAD_BAD, 400 },
    { "no host", BYTES("GET / HTTP/1.1\r\n\r\n"), HTTP_HEAD_BAD, 400 },
    { "both framings",
      BYTES("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "unknown coding", BYTES("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: br\r\n\r\n"),
      HTTP_HEAD_BAD, 501 },
    { "version 3", BYTES("GET / HTTP/3.0\r\n" HOST "\r\n"), HTTP_HEAD_BAD, 505 },
    { "tunnel", BYTES("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"), HTTP_HEAD_BAD, 501 },
    { "host of IPv6", BYTES("GET / HTTP/1.1\r\nHost: [2001:db8::7]:8080\r\n\r\n"), HTTP_HEAD_DONE },
    { "host with an escape", BYTES("GET / HTTP/1.1\r\nHost: a%41.example:\r\n\r\n"),
      HTTP_HEAD_DONE },
    { "host with a word as port", BYTES("GET / HTTP/1.1\r\nHost: x:port\r\n\r\n"), HTTP_HEAD_BAD,
      400 },
    { "host with two ports", BYTES("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), HTTP_HEAD_BAD, 400 },
    { "host of half a literal", BYTES("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), HTTP_HEAD_BAD, 400 },
    { "bad host of 1.0", BYTES("GET / HTTP/1.0\r\nHost: %zz\r\n\r\n"), HTTP_HEAD_BAD, 400 },
    { "absolute form", BYTES("GET http://Api.Example:80/a?b HTTP/1.1\r\nHost: api.example\r\n\r\n"),
      HTTP_HEAD_DONE },
    { "absolute form of https", BYTES("GET HTTPS://x:443 HTTP/1.1\r\n" HOST "\r\n"),
      HTTP_HEAD_DONE },
    { "absolute form of 1.0", BYTES("GET http://x?a HTTP/1.0\r\n\r\n"), HTTP_HEAD_DONE },
    { "absolute form with a user", BYTES("GET http://user@x/ HTTP/1.1\r\n" HOST "\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "absolute form with a user in 1.0", BYTES("GET http://u:p@x/ HTTP/1.0\r\n\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "absolute form without a host", BYTES("GET http:///a HTTP/1.1\r\n" HOST "\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "absolute form with a bad port", BYTES("GET http://x:99999/ HTTP/1.1\r\n" HOST "\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "absolute form beside another host", BYTES("GET http://x/ HTTP/1.1\r\nHost: y\r\n\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "absolute form beside another port", BYTES("GET https://x/ HTTP/1.1\r\nHost: x:80\r\n\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "absolute form beside an empty host", BYTES("GET http://x/ HTTP/1.1\r\nHost:\r\n\r\n"),
      HTTP_HEAD_BAD, 400 },
    { "only LF", BYTES("\n"), HTTP_HEAD_BAD, 400 },
    { "only spaces", BYTES("  \r\n"), HTTP_HEAD_BAD, 400 },
};

static void check_every_cut(str head)
{
    static http_head whole, cut;
    char *whole_bytes, *cut_bytes;
    const http_head_result expected = parse_cut(&whole, head, NULL, 0, &whole_bytes);
    size_t all[1024];
    assert_true(head.len <= ARRAY_LEN(all));
    for (size_t at = 0; at < head.len; at++) {
        all[at] = at;
        assert_int_equal(parse_cut(&cut, head, &at, 1, &cut_bytes), expected);
        assert_same(&whole, &cut, expected);
        free(cut_bytes);
    }
    assert_int_equal(parse_cut(&cut, head, all, head.len, &cut_bytes), expected);
    assert_same(&whole, &cut, expected);
    free(cut_bytes);
    free(whole_bytes);
}

static void test_head_cases_have_their_result(void **state)
{
    (void)state;
    static http_head h;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char *bytes;
        const http_head_result r = parse_cut(&h, CASES[i].bytes, NULL, 0, &bytes);
        if (r != CASES[i].result || (r == HTTP_HEAD_BAD && h.status != CASES[i].status))
            print_error("%s: result %d, status %u\n", CASES[i].name, r, h.status);
        assert_int_equal(r, CASES[i].result);
        if (r == HTTP_HEAD_BAD)
            assert_int_equal(h.status, CASES[i].status);
        free(bytes);
    }
}

static void test_head_cut_at_every_byte_is_parsed_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        check_every_cut(CASES[i].bytes);
}

/* Whatever becomes of a head by a few changed bytes, where it is cut does not matter. */
static void test_head_with_random_damage_is_parsed_the_same_however_cut(void **state)
{
    (void)state;
    static const char interesting[] = "\r\n: \t\0/?%,;aA1\x7F\xFF";
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < 2000; round++) {
        const str from = CASES[(size_t)random() % ARRAY_LEN(CASES)].bytes;
        if (from.len == 0)
            continue;
        char *damaged = fresh_copy(from);
        for (int changes = 1 + (int)(random() % 3); changes > 0; changes--)
            damaged[(size_t)random() % from.len] =
                interesting[(size_t)random() % (sizeof interesting - 1)];
        check_every_cut((str){ damaged, from.len });
        free(damaged);
    }
}

static void test_head_done_gives_slices_of_the_bytes(void **state)
{
    (void)state;
    static http_head h;
    char *bytes;
    const str head = CASES[3].bytes;
    assert_int_equal(parse_cut(&h, head, NULL, 0, &bytes), HTTP_HEAD_DONE);
    assert_int_equal(h.method, HTTP_PATCH);
    assert_str_equal(h.method_name, STR("PATCH"));
    assert_str_equal(h.target, STR("/a/b?c=d"));
    assert_int_equal(h.minor_version, 1);
    assert_false(h.keep_alive);
    assert_true(h.expects_continue);
    assert_true(h.has_content_length);
    assert_int_equal(h.content_length, 12);
    assert_int_equal(h.bytes, head.len);
    assert_int_equal(h.fields.count, 7);
    assert_str_equal(http_head_find(&h, STR("HOST")), STR("x:80"));
    assert_str_equal(http_head_find(&h, STR("a")), STR("1 2"));
    assert_str_equal(http_head_find(&h, STR("b")), STR(""));
    assert_str_equal(http_head_find(&h, STR("C")), STR("3"));
    assert_null(http_head_find(&h, STR("D")).ptr);
    assert_true(h.target.ptr >= bytes && h.target.ptr < bytes + head.len);
    free(bytes);
}

static void test_head_in_absolute_form_says_whose_host_it_is(void **state)
{
    (void)state;
    static http_head h;
    char *bytes;
    const str head =
        STR("GET http://Api.Example:80/a?b HTTP/1.1\r\nA: b\r\nHost: api.example\r\n\r\n");
    assert_int_equal(parse_cut(&h, head, NULL, 0, &bytes), HTTP_HEAD_DONE);
    assert_str_equal(http_head_find(&h, STR("host")), STR("Api.Example:80"));
    assert_str_equal(h.fields.items[1].value, STR("Api.Example:80"));
    free(bytes);
}

/* Each byte is looked at once while its line is incomplete: what was given before cannot even be
 * read when more of the line comes. So a head that drips in costs no more than one that pours. */
static void check_reads_once(const char *beginning)
{
    static http_head h;
    const http_head_limits wide = { 1 << 20, 1 << 20, HTTP_FIELDS_MAX };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 32;
    char *memory =
        mmap(NULL, page * pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    memset(memory, 'a', page * pages);
    const size_t len = strlen(beginning);
    memcpy(memory, beginning, len);
    http_head_init(&h);
    for (size_t given = 1; given < pages; given++) {
        assert_int_equal(http_head_parse(&h, (str){ memory, given * page }, &wide),
                         HTTP_HEAD_INCOMPLETE);
        assert_int_equal(mprotect(memory, given * page, PROT_NONE), 0);
    }
    assert_int_equal(mprotect(memory, page * pages, PROT_READ | PROT_WRITE), 0);
    memcpy(memory + page * pages - 4, "\r\n\r\n", 4);
    assert_int_not_equal(http_head_parse(&h, (str){ memory, page * pages }, &wide),
                         HTTP_HEAD_INCOMPLETE);
    munmap(memory, page * pages);
}

static void test_head_dripping_in_is_read_once(void **state)
{
    (void)state;
    check_reads_once("GET /");
    check_reads_once("GET / HTTP/1.1\r\n" HOST "A: ");
    check_reads_once("GET / HTTP/1.1\r\n" HOST "B");
}

static void test_head_past_a_limit_is_refused(void **state)
{
    (void)state;
    static http_head h;
    const http_head_limits tight = { .request_line_bytes_max = 20,
                                     .fields_bytes_max = 30,
                                     .fields_max = 2 };
    static const struct {
        str bytes;
        http_head_result result;
        uint16_t status;
    } rows[] = {
        { BYTES("GET /567 HTTP/1.1\r\n"), HTTP_HEAD_INCOMPLETE, 0 },
        { BYTES("GET /56789 HTTP/1.1\r\n"), HTTP_HEAD_BAD, 414 },
        { BYTES("GET /56789abcdefghijk"), HTTP_HEAD_BAD, 414 },
        { BYTES("GET / HTTP/1.1\r\n" HOST "A: 23456789012345\r\n\r\n"), HTTP_HEAD_DONE, 0 },
        { BYTES("GET / HTTP/1.1\r\n" HOST "A: 2345678901234567890\r\n\r\n"), HTTP_HEAD_BAD, 431 },
        { BYTES("GET / HTTP/1.1\r\n" HOST "A: 23456789012345678901234567"), HTTP_HEAD_BAD, 431 },
        { BYTES("GET / HTTP/1.1\r\n" HOST "A:\r\nB:\r\n\r\n"), HTTP_HEAD_BAD, 431 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        http_head_init(&h);
        assert_int_equal(http_head_parse(&h, rows[i].bytes, &tight), rows[i].result);
        if (rows[i].result == HTTP_HEAD_BAD)
            assert_int_equal(h.status, rows[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_cases_have_their_result),
        cmocka_unit_test(test_head_cut_at_every_byte_is_parsed_the_same),
        cmocka_unit_test(test_head_with_random_damage_is_parsed_the_same_however_cut),
        cmocka_unit_test(test_head_done_gives_slices_of_the_bytes),
        cmocka_unit_test(test_head_in_absolute_form_says_whose_host_it_is),
        cmocka_unit_test(test_head_dripping_in_is_read_once),
        cmocka_unit_test(test_head_past_a_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
