/* Replies of other servers: heads that are taken and refused, where their bodies end, and that
 * where the bytes are cut does not matter. */
#include "reply_body.h"

#include "core/buf.h"
#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

#define HEAD_BYTES_MAX 1024

typedef enum outcome {
    WHOLE = 1,
    PART, /* more is to come */
    CUT,  /* the connection has ended too early */
    BAD_HEAD,
    LARGE_HEAD,
    BAD_BODY,
} outcome;

/* What a reader makes of a connection's bytes. */
typedef struct reading {
    outcome outcome;
    uint16_t status;
    bool keeps_alive;
    size_t bytes; /* of the reply, when WHOLE */
    char reason[64];
    char body[256];
    size_t body_len;
} reading;

/* Takes the pieces that are in `bytes`. */
static outcome read_body(http_reply_pieces *pieces, str *bytes, bool at_end, reading *out)
{
    for (;;) {
        str data;
        switch (http_reply_pieces_next(pieces, bytes, at_end, &data)) {
        case HTTP_PIECE_MORE:
            return PART;
        case HTTP_PIECE_DATA:
            assert_true(data.len > 0 && out->body_len + data.len <= sizeof out->body);
            memcpy(out->body + out->body_len, data.ptr, data.len);
            out->body_len += data.len;
            continue;
        case HTTP_PIECE_END:
            return WHOLE;
        case HTTP_PIECE_CUT:
            return CUT;
        case HTTP_PIECE_BAD:
            return BAD_BODY;
        }
    }
}

/* Reads a reply that comes in two parts, the second from `cut` on, or one byte at a time; behind it
 * the connection ends if `ends`. Every part is at an address of its own. */
static void read_reply(str bytes, size_t cut, size_t step, http_method asked, bool ends,
                       reading *out)
{
    static http_reply_head head;
    http_reply_pieces pieces;
    bool in_body = false;
    size_t taken = 0, given = 0;
    memset(out, 0, sizeof *out);
    out->outcome = PART;
    http_reply_head_init(&head);
    while (out->outcome == PART && given <= bytes.len) {
        given = given < cut ? cut : given + step;
        const bool all = given >= bytes.len;
        const str part = exact_copy(str_slice(bytes, taken, (all ? bytes.len : given) - taken));
        str rest = part;
        if (!in_body) {
            const http_reply_result r = http_reply_head_parse(&head, part, HEAD_BYTES_MAX);
            if (r == HTTP_REPLY_BAD || r == HTTP_REPLY_TOO_LARGE) {
                out->outcome = r == HTTP_REPLY_BAD ? BAD_HEAD : LARGE_HEAD;
                snprintf(out->reason, sizeof out->reason, "%s", head.reason);
            } else if (r == HTTP_REPLY_DONE) {
                out->status = head.status;
                out->keeps_alive = http_reply_keeps_alive(&head, asked);
                http_reply_pieces_init(&pieces, &head, asked);
                rest = str_slice(part, head.bytes, part.len);
                in_body = true;
            } else if (ends && all) {
                out->outcome = CUT;
            }
        }
        if (in_body) {
            out->outcome = read_body(&pieces, &rest, ends && all, out);
            taken += part.len - rest.len;
        }
        exact_free(part);
        if (all)
            break;
    }
    out->bytes = out->outcome == WHOLE ? taken : 0;
}

typedef struct reply_case {
    const char *name;
    str bytes;
    outcome outcome;
    uint16_t status;
    const char *body;
    bool keeps_alive;
    http_method asked; /* 0: GET */
    bool ends;         /* the connection, behind it */
} reply_case;

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKS  "Transfer-Encoding: chunked\r\n"

static const reply_case CASES[] = {
    { "sized", BYTES(OK_LINE "Content-Length: 3\r\n\r\nabc"), WHOLE, 200, "abc", true },
    { "sized, more behind", BYTES(OK_LINE "Content-Length: 3\r\n\r\nabcHTTP/1.1 2"), WHOLE, 200,
      "abc", true },
    { "empty", BYTES(OK_LINE "Content-Length: 0\r\n\r\n"), WHOLE, 200, "", true },
    { "sized, cut", BYTES(OK_LINE "Content-Length: 3\r\n\r\nab"), CUT, 200, "ab", true, HTTP_GET,
      true },
    { "sized, not all there", BYTES(OK_LINE "Content-Length: 3\r\n\r\nab"), PART, 200, "ab", true },
    { "chunked", BYTES(OK_LINE CHUNKS "\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nA: b\r\n\r\n"), WHOLE, 200,
      "abc", true },
    { "chunked, cut in a chunk", BYTES(OK_LINE CHUNKS "\r\n2\r\na"), CUT, 200, "a", true, HTTP_GET,
      true },
    { "chunked, last chunk missing", BYTES(OK_LINE CHUNKS "\r\n2\r\nab\r\n"), CUT, 200, "ab", true,
      HTTP_GET, true },
    { "chunked, cut in the trailers", BYTES(OK_LINE CHUNKS "\r\n0\r\nA: b\r\n"), CUT, 200, "", true,
      HTTP_GET, true },
    { "chunk size of a word", BYTES(OK_LINE CHUNKS "\r\nzz\r\n"), BAD_BODY, 200, "", true },
    { "until close", BYTES(OK_LINE "\r\nabc"), WHOLE, 200, "abc", false, HTTP_GET, true },
    { "until close, empty", BYTES(OK_LINE "\r\n"), WHOLE, 200, "", false, HTTP_GET, true },
    { "until close, not closed", BYTES(OK_LINE "\r\nabc"), PART, 200, "abc", false },
    { "close", BYTES(OK_LINE "Connection: close\r\nContent-Length: 1\r\n\r\na"), WHOLE, 200, "a",
      false },
    { "close beside keep-alive",
      BYTES(OK_LINE "Connection: keep-alive, close\r\nContent-Length: 1\r\n\r\na"), WHOLE, 200, "a",
      false },
    { "1.0", BYTES("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"), WHOLE, 200, "a", false },
    { "1.0 that keeps",
      BYTES("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: "
            "1\r\n\r\na"),
      WHOLE, 200, "a", true },
    { "1.2 is 1.1", BYTES("HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\na"), WHOLE, 200, "a", true },
    { "no phrase", BYTES("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n"), WHOLE, 404, "", true },
    { "no space behind the status", BYTES("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"), WHOLE, 404,
      "", true },
    { "phrase with high bytes", BYTES("HTTP/1.1 200 \xC3\xBC\r\nContent-Length: 0\r\n\r\n"), WHOLE,
      200, "", true },
    { "interim", BYTES("HTTP/1.1 100 Continue\r\n\r\n"), WHOLE, 100, "", true },
    { "204", BYTES("HTTP/1.1 204 No Content\r\n\r\n"), WHOLE, 204, "", true },
    { "204 that announces a body", BYTES("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
      WHOLE, 204, "", false },
    { "204 that announces chunks", BYTES("HTTP/1.1 204 No Content\r\n" CHUNKS "\r\n"), WHOLE, 204,
      "", false },
    { "304 with the length it would have",
      BYTES("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), WHOLE, 304, "", true },
    { "HEAD", BYTES(OK_LINE "Content-Length: 5\r\n\r\n"), WHOLE, 200, "", true, HTTP_HEAD },
    { "HEAD, chunked", BYTES(OK_LINE CHUNKS "\r\n"), WHOLE, 200, "", true, HTTP_HEAD },
    { "HEAD without a length", BYTES(OK_LINE "\r\n"), WHOLE, 200, "", true, HTTP_HEAD },
    /* what two parsers could end in different places */
    { "both framings", BYTES(OK_LINE "Content-Length: 1\r\n" CHUNKS "\r\na"), BAD_HEAD },
    { "both framings, the other way", BYTES(OK_LINE CHUNKS "Content-Length: 1\r\n\r\na"),
      BAD_HEAD },
    { "two lengths", BYTES(OK_LINE "Content-Length: 1\r\nContent-Length: 2\r\n\r\na"), BAD_HEAD },
    { "one length twice", BYTES(OK_LINE "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"),
      BAD_HEAD },
    { "a list of lengths", BYTES(OK_LINE "Content-Length: 1, 1\r\n\r\na"), BAD_HEAD },
    { "negative length", BYTES(OK_LINE "Content-Length: -1\r\n\r\na"), BAD_HEAD },
    { "positive length", BYTES(OK_LINE "Content-Length: +1\r\n\r\na"), BAD_HEAD },
    { "length in hexadecimal", BYTES(OK_LINE "Content-Length: 0x1\r\n\r\na"), BAD_HEAD },
    { "length past 64 bits", BYTES(OK_LINE "Content-Length: 18446744073709551616\r\n\r\na"),
      BAD_HEAD },
    { "no length in its field", BYTES(OK_LINE "Content-Length:\r\n\r\na"), BAD_HEAD },
    { "other coding", BYTES(OK_LINE "Transfer-Encoding: gzip\r\n\r\na"), BAD_HEAD },
    { "list of codings", BYTES(OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\na"), BAD_HEAD },
    { "chunked twice", BYTES(OK_LINE CHUNKS CHUNKS "\r\n0\r\n\r\n"), BAD_HEAD },
    { "chunked in 1.0", BYTES("HTTP/1.0 200 OK\r\n" CHUNKS "\r\n0\r\n\r\n"), BAD_HEAD },
    { "both in a reply to HEAD", BYTES(OK_LINE "Content-Length: 1\r\n" CHUNKS "\r\n"), BAD_HEAD, 0,
      "", false, HTTP_HEAD },
    /* no head at all */
    { "nothing", BYTES(""), PART },
    { "nothing, then the end", BYTES(""), CUT, 0, "", false, HTTP_GET, true },
    { "cut in the head", BYTES(OK_LINE "Content-Le"), CUT, 0, "", false, HTTP_GET, true },
    { "bare LF", BYTES("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"), BAD_HEAD },
    { "bare LF in the fields", BYTES(OK_LINE "A: b\nContent-Length: 0\r\n\r\n"), BAD_HEAD },
    { "bare CR in a value", BYTES(OK_LINE "A: b\rc\r\n\r\n"), BAD_HEAD },
    { "bare CR in the status line", BYTES("HTTP/1.1 200 O\rK\r\n\r\n"), BAD_HEAD },
    { "NUL in a value", BYTES(OK_LINE "A: b\0c\r\n\r\n"), BAD_HEAD },
    { "NUL in the phrase", BYTES("HTTP/1.1 200 O\0K\r\n\r\n"), BAD_HEAD },
    { "folded", BYTES(OK_LINE "A: b\r\n c\r\n\r\n"), BAD_HEAD },
    { "space before the colon", BYTES(OK_LINE "A : b\r\n\r\n"), BAD_HEAD },
    { "no colon", BYTES(OK_LINE "A\r\n\r\n"), BAD_HEAD },
    { "no name", BYTES(OK_LINE ": b\r\n\r\n"), BAD_HEAD },
    { "empty line before", BYTES("\r\n" OK_LINE "\r\n"), BAD_HEAD },
    { "version 2", BYTES("HTTP/2.0 200 OK\r\n\r\n"), BAD_HEAD },
    { "version in lower case", BYTES("http/1.1 200 OK\r\n\r\n"), BAD_HEAD },
    { "version without its minor", BYTES("HTTP/1 200 OK\r\n\r\n"), BAD_HEAD },
    { "no version", BYTES("200 OK and more\r\n\r\n"), BAD_HEAD },
    { "two spaces", BYTES("HTTP/1.1  200 OK\r\n\r\n"), BAD_HEAD },
    { "status of two digits", BYTES("HTTP/1.1 20 OK\r\n\r\n"), BAD_HEAD },
    { "status of four digits", BYTES("HTTP/1.1 2000 OK\r\n\r\n"), BAD_HEAD },
    { "status of letters", BYTES("HTTP/1.1 2x0 OK\r\n\r\n"), BAD_HEAD },
    { "status 099", BYTES("HTTP/1.1 099 OK\r\n\r\n"), BAD_HEAD },
    { "status 600", BYTES("HTTP/1.1 600 OK\r\n\r\n"), BAD_HEAD },
    { "tab behind the status", BYTES("HTTP/1.1 200\tOK\r\n\r\n"), BAD_HEAD },
    { "another protocol", BYTES("SSH-2.0-OpenSSH_9.2\r\n"), BAD_HEAD },
    { "TLS", BYTES("\x15\x03\x01\x00\x02\x02\x46\r\n"), BAD_HEAD },
};

static void assert_same(const reply_case *c, const reading *a, const reading *b)
{
    if (a->outcome != b->outcome)
        fail_msg("%s: outcome %d, whole %d", c->name, b->outcome, a->outcome);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->keeps_alive, b->keeps_alive);
    assert_int_equal(a->bytes, b->bytes);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->body_len, b->body_len);
    assert_memory_equal(a->body, b->body, a->body_len);
}

static void read_case(const reply_case *c, size_t cut, size_t step, reading *out)
{
    read_reply(c->bytes, cut, step, c->asked ? c->asked : HTTP_GET, c->ends, out);
}

static void test_reply_cases_have_their_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const reply_case *c = &CASES[i];
        reading got;
        read_case(c, c->bytes.len, 1, &got);
        if (got.outcome != c->outcome)
            fail_msg("%s: outcome %d (%s)", c->name, got.outcome, got.reason);
        assert_int_equal(got.status, c->status);
        assert_str_equal(((str){ got.body, got.body_len }), str_from_c(c->body ? c->body : ""));
        if (c->status)
            assert_int_equal(got.keeps_alive, c->keeps_alive);
        assert_int_equal(got.reason[0] != '\0', c->outcome == BAD_HEAD);
    }
}

static void test_reply_cut_at_every_byte_is_read_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const reply_case *c = &CASES[i];
        reading whole, cut;
        read_case(c, c->bytes.len, 1, &whole);
        for (size_t at = 0; at < c->bytes.len; at++) {
            read_case(c, at, c->bytes.len, &cut);
            assert_same(c, &whole, &cut);
        }
        read_case(c, 0, 1, &cut);
        assert_same(c, &whole, &cut);
    }
}

static void test_reply_head_past_its_limit_is_refused(void **state)
{
    (void)state;
    char bytes[HEAD_BYTES_MAX + 64] = OK_LINE "A: ";
    reading got;
    const size_t head = strlen(bytes);
    memset(bytes + head, 'b', sizeof bytes - head);
    memcpy(bytes + HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
    read_reply((str){ bytes, HEAD_BYTES_MAX }, 0, 7, HTTP_HEAD, false, &got);
    assert_int_equal(got.outcome, WHOLE);
    bytes[HEAD_BYTES_MAX - 4] = 'b';
    memcpy(bytes + HEAD_BYTES_MAX - 3, "\r\n\r\n", 4);
    read_reply((str){ bytes, HEAD_BYTES_MAX + 1 }, 0, 7, HTTP_HEAD, false, &got);
    assert_int_equal(got.outcome, LARGE_HEAD);
}

static void test_reply_with_too_many_fields_is_refused(void **state)
{
    (void)state;
    buf bytes;
    reading got;
    buf_init(&bytes, 4096);
    buf_append(&bytes, STR(OK_LINE));
    for (int i = 0; i < HTTP_FIELDS_MAX; i++)
        buf_append(&bytes, STR("A:\r\n"));
    buf_append(&bytes, STR("\r\n"));
    read_reply(buf_str(&bytes), 0, 99, HTTP_HEAD, false, &got);
    assert_int_equal(got.outcome, WHOLE);
    bytes.len -= 2;
    buf_append(&bytes, STR("B:\r\n\r\n"));
    read_reply(buf_str(&bytes), 0, 99, HTTP_HEAD, false, &got);
    assert_int_equal(got.outcome, LARGE_HEAD);
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_cases_have_their_result),
        cmocka_unit_test(test_reply_cut_at_every_byte_is_read_the_same),
        cmocka_unit_test(test_reply_head_past_its_limit_is_refused),
        cmocka_unit_test(test_reply_with_too_many_fields_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
