/* The PROXY protocol's header: what is one, whose address it tells, and that half of it is never
 * taken for the whole. */
#include "proxy_header.h"

#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

/* Of version 2: signature, then version and command, kind, length. */
#define BINARY(rest) STR("\r\n\r\n\0\r\nQUIT\n" rest)
#define FOUR         "\xC0\x00\x02\x01\xC6\x33\x64\x07\xC0\x00\x01\xBB"
#define SIX                                      \
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01" \
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x02\xC0\x00\x01\xBB"
#define FIFTY4     "/123456789012345678901234567890123456789012345678901\0\0"
#define UNIX_PAIR  FIFTY4 FIFTY4 FIFTY4 FIFTY4
#define EXTENSIONS "\x01\x00\x02h2\x04\x00\x00"

typedef struct header_case {
    const char *name;
    str bytes;
    http_proxy_source source;
    const char *ip;
} header_case;

static const header_case GOOD[] = {
    { "tcp4",
      { "PROXY TCP4 192.0.2.1 198.51.100.7 49152 443\r\n", 45 },
      HTTP_PROXY_SOURCE_IP,
      "192.0.2.1" },
    { "tcp4 at its longest",
      { "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", 56 },
      HTTP_PROXY_SOURCE_IP,
      "255.255.255.255" },
    { "tcp4 of port 0",
      { "PROXY TCP4 1.2.3.4 1.2.3.4 0 0\r\n", 32 },
      HTTP_PROXY_SOURCE_IP,
      "1.2.3.4" },
    { "tcp6",
      { "PROXY TCP6 2001:db8::1 ::1 49152 443\r\n", 38 },
      HTTP_PROXY_SOURCE_IP,
      "2001:db8::1" },
    { "unknown", { "PROXY UNKNOWN\r\n", 15 }, HTTP_PROXY_SOURCE_PEER, NULL },
    { "unknown and more",
      { "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", 59 },
      HTTP_PROXY_SOURCE_PEER,
      NULL },
};

#define CHECK_OF(name_, bytes_, source_, ip_) \
    check_good(&(header_case){ (name_), (bytes_), (source_), (ip_) })

static http_proxy_result parse(str bytes, http_proxy_header *out)
{
    const str copy = exact_copy(bytes);
    const http_proxy_result result = http_proxy_header_parse(copy, out);
    exact_free(copy);
    return result;
}

/* Whole, cut at every byte, and with something behind it. */
static void check_good(const header_case *c)
{
    http_proxy_header header;
    http_ip ip;
    for (size_t len = 0; len < c->bytes.len; len++) {
        if (parse(str_slice(c->bytes, 0, len), &header) != HTTP_PROXY_HEADER_INCOMPLETE)
            fail_msg("%s: is not wanting more at byte %zu", c->name, len);
    }
    for (size_t extra = 0; extra <= 40; extra += 40) {
        buf more;
        buf_init(&more, 65536);
        buf_append(&more, c->bytes);
        buf_append(&more,
                   str_slice(STR("GET / HTTP/1.1\r\nHost: x\r\n\r\nPROXY UNKNOWN"), 0, extra));
        if (parse(buf_str(&more), &header) != HTTP_PROXY_HEADER_DONE)
            fail_msg("%s: is not taken", c->name);
        assert_int_equal(header.bytes, c->bytes.len);
        assert_int_equal(header.source, c->source);
        buf_deinit(&more);
    }
    if (c->ip) {
        assert_true(http_ip_parse(str_from_c(c->ip), &ip));
        assert_memory_equal(&ip, &header.ip, sizeof ip);
    }
}

static void test_line_of_every_kind_gives_its_source(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++)
        check_good(&GOOD[i]);
}

static void test_binary_of_every_kind_gives_its_source(void **state)
{
    (void)state;
    CHECK_OF("tcp4", BINARY("\x21\x11\x00\x0C" FOUR), HTTP_PROXY_SOURCE_IP, "192.0.2.1");
    CHECK_OF("udp4", BINARY("\x21\x12\x00\x0C" FOUR), HTTP_PROXY_SOURCE_IP, "192.0.2.1");
    CHECK_OF("tcp6", BINARY("\x21\x21\x00\x24" SIX), HTTP_PROXY_SOURCE_IP, "2001:db8::1");
    CHECK_OF("extended", BINARY("\x21\x11\x00\x14" FOUR EXTENSIONS), HTTP_PROXY_SOURCE_IP,
             "192.0.2.1");
    CHECK_OF("unix", BINARY("\x21\x31\x00\xD8" UNIX_PAIR), HTTP_PROXY_SOURCE_NONE, NULL);
    CHECK_OF("local", BINARY("\x20\x00\x00\x00"), HTTP_PROXY_SOURCE_PEER, NULL);
    CHECK_OF("local of any family",
             BINARY("\x20\xF7\x00\x03"
                    "abc"),
             HTTP_PROXY_SOURCE_PEER, NULL);
    CHECK_OF("no family",
             BINARY("\x21\x00\x00\x03"
                    "abc"),
             HTTP_PROXY_SOURCE_PEER, NULL);
}

static void test_binary_as_long_as_may_be_is_taken(void **state)
{
    (void)state;
    http_proxy_header header;
    char bytes[HTTP_PROXY_HEADER_BYTES_MAX + 1] = { 0 };
    const str beginning = BINARY("\x21\x11");
    const size_t extension = HTTP_PROXY_HEADER_BYTES_MAX - 16 - 12 - 3;
    memcpy(bytes, beginning.ptr, beginning.len);
    bytes[14] = (char)((HTTP_PROXY_HEADER_BYTES_MAX - 16) >> 8);
    bytes[15] = (char)(HTTP_PROXY_HEADER_BYTES_MAX - 16);
    bytes[29] = (char)(extension >> 8);
    bytes[30] = (char)extension;
    assert_int_equal(parse((str){ bytes, HTTP_PROXY_HEADER_BYTES_MAX - 1 }, &header),
                     HTTP_PROXY_HEADER_INCOMPLETE);
    assert_int_equal(parse((str){ bytes, sizeof bytes }, &header), HTTP_PROXY_HEADER_DONE);
    assert_int_equal(header.bytes, HTTP_PROXY_HEADER_BYTES_MAX);
    bytes[15] = (char)(bytes[15] + 1);
    assert_int_equal(parse((str){ bytes, 16 }, &header), HTTP_PROXY_HEADER_BAD);
}

static void check_bad(const char *name, str bytes)
{
    http_proxy_header header;
    if (parse(bytes, &header) != HTTP_PROXY_HEADER_BAD)
        fail_msg("%s: is taken", name);
    for (size_t len = 0; len < bytes.len; len++) {
        if (parse(str_slice(bytes, 0, len), &header) == HTTP_PROXY_HEADER_DONE)
            fail_msg("%s: is taken at byte %zu", name, len);
    }
}

static void test_line_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n",
        "P\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "proxy unknown\r\n",
        " PROXY UNKNOWN\r\n",
        "PROXY  UNKNOWN\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN\r\r\n",
        "PROXY UNKNOWN\rX",
        "PROXY UNKNOWN \t\r\n",
        "PROXY UNKNOWN \xC3\xA4\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999999999999999999\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 ::1 ::g 1 2\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_bad(bad[i], str_from_c(bad[i]));
    check_bad("a zero byte", STR("PROXY UNKNOWN \0\r\n"));
}

static void test_line_past_its_limit_is_refused(void **state)
{
    (void)state;
    http_proxy_header header;
    char line[HTTP_PROXY_LINE_BYTES_MAX + 2];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + HTTP_PROXY_LINE_BYTES_MAX - 2, "\r\n", 2);
    assert_int_equal(parse((str){ line, HTTP_PROXY_LINE_BYTES_MAX }, &header),
                     HTTP_PROXY_HEADER_DONE);
    memcpy(line + HTTP_PROXY_LINE_BYTES_MAX - 2, "xx\r\n", 4);
    assert_int_equal(parse((str){ line, HTTP_PROXY_LINE_BYTES_MAX }, &header),
                     HTTP_PROXY_HEADER_BAD);
    memcpy(line + HTTP_PROXY_LINE_BYTES_MAX - 2, "x\r\n", 3);
    assert_int_equal(parse((str){ line, HTTP_PROXY_LINE_BYTES_MAX + 1 }, &header),
                     HTTP_PROXY_HEADER_BAD);
}

static void test_binary_that_is_none_is_refused(void **state)
{
    (void)state;
    check_bad("another signature", STR("\r\n\r\n\0\r\nQUIX\n\x21\x11\x00\x0C" FOUR));
    check_bad("blank lines", STR("\r\n\r\nGET / HTTP/1.1\r\n"));
    check_bad("version 1", BINARY("\x11\x11\x00\x0C" FOUR));
    check_bad("version 3", BINARY("\x31\x11\x00\x0C" FOUR));
    check_bad("command 2", BINARY("\x22\x11\x00\x0C" FOUR));
    check_bad("family 4", BINARY("\x21\x41\x00\x0C" FOUR));
    check_bad("transport 3", BINARY("\x21\x13\x00\x0C" FOUR));
    check_bad("no address", BINARY("\x21\x11\x00\x00"));
    check_bad("half an address", BINARY("\x21\x11\x00\x0B" FOUR));
    check_bad("an address of the other family", BINARY("\x21\x21\x00\x0C" FOUR));
    check_bad("a short extension", BINARY("\x21\x11\x00\x0E" FOUR "\x01\x00"));
    check_bad("an extension past the end", BINARY("\x21\x11\x00\x10" FOUR "\x01\x00\x02h"));
    check_bad("too long", BINARY("\x21\x11\xFF\xFF" FOUR));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_of_every_kind_gives_its_source),
        cmocka_unit_test(test_binary_of_every_kind_gives_its_source),
        cmocka_unit_test(test_binary_as_long_as_may_be_is_taken),
        cmocka_unit_test(test_line_that_is_none_is_refused),
        cmocka_unit_test(test_line_past_its_limit_is_refused),
        cmocka_unit_test(test_binary_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
