/* HTTP/1.1 as it is spoken on the wire: raw bytes in, answers out. A table of whole exchanges; each
 * is sent in one piece, then cut in two at every byte, then a byte at a time, and must be answered
 * the same. What needs a conversation has a test of its own below. */
#include "tests/support/http_test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWERS_MAX    24
#define CUT_BYTES_MAX  600 /* longer exchanges are only sent whole */
#define CUT_PAUSE_MS   30  /* so that the server reads what comes before the cut on its own */
#define LONG_BYTES_MAX 70000

typedef struct exchange {
    const char *name;
    str request;
    int statuses[ANSWERS_MAX]; /* in order; 0 ends them */
    const char *body;          /* of the first answer; NULL: whatever */
    const char *header;        /* "Name: value" that the first answer has */
    bool closes;               /* after the last answer */
    bool may_close;            /* where it does depends on when the body came */
} exchange;

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define HOST                        "Host: x\r\n"
#define FAST                        "GET /fast HTTP/1.1\r\n" HOST "\r\n"
#define WITH(fields_)               "GET /fast HTTP/1.1\r\n" HOST fields_ "\r\n"
#define GET(target_)                BYTES("GET " target_ " HTTP/1.1\r\n" HOST "\r\n")
#define HOST_OF(host_)              BYTES("GET /fast HTTP/1.1\r\nHost: " host_ "\r\n\r\n")
#define POST(path_, fields_, body_) "POST " path_ " HTTP/1.1\r\n" HOST fields_ "\r\n" body_
#define CHUNKED(body_)              BYTES(POST("/echo", "Transfer-Encoding: chunked\r\n", body_))
#define JSON                        "Content-Type: application/json\r\n"
#define ITEM(body_, length_)        BYTES(POST("/items", JSON "Content-Length: " length_ "\r\n", body_))

static const exchange EXCHANGES[] = {
    /* connections */
    { "one", BYTES(FAST), { 200 }, "fast" },
    { "two", BYTES(FAST FAST), { 200, 200 }, "fast" },
    { "close", BYTES(WITH("Connection: close\r\n")), { 200 }, "fast", .closes = true },
    { "close in a list", BYTES(WITH("Connection: x, Close\r\n")), { 200 }, .closes = true },
    { "close before keep-alive",
      BYTES(WITH("Connection: close, keep-alive\r\n")),
      { 200 },
      .closes = true },
    { "close beside keep-alive",
      BYTES(WITH("Connection: close\r\nConnection: keep-alive\r\n")),
      { 200 },
      .closes = true },
    { "nothing after close", BYTES(WITH("Connection: close\r\n") FAST), { 200 }, .closes = true },
    { "1.0", BYTES("GET /fast HTTP/1.0\r\n\r\n"), { 200 }, "fast", .closes = true },
    { "1.0 keep-alive",
      BYTES("GET /fast HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
      { 200 },
      "fast",
      "Connection: keep-alive" },
    { "1.0 with expectation",
      BYTES("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"),
      { 200 },
      "ab",
      .closes = true },
    { "1.2 is 1.1", BYTES("GET /fast HTTP/1.2\r\n" HOST "\r\n"), { 200 }, "fast" },

    /* request line */
    { "2.0", BYTES("GET /fast HTTP/2.0\r\n" HOST "\r\n"), { 505 }, .closes = true },
    { "0.9", BYTES("GET /fast\r\n"), { 400 }, .closes = true },
    { "no version", BYTES("GET /fast HTTP\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "lower-case version", BYTES("GET /fast http/1.1\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "space after version",
      BYTES("GET /fast HTTP/1.1 \r\n" HOST "\r\n"),
      { 400 },
      .closes = true },
    { "two spaces", BYTES("GET  /fast HTTP/1.1\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "space before", BYTES(" GET /fast HTTP/1.1\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "tab", BYTES("GET\t/fast HTTP/1.1\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "one empty line before", BYTES("\r\n" FAST), { 200 }, "fast" },
    { "two empty lines before", BYTES("\r\n\r\n" FAST), { 400 }, .closes = true },
    { "method with brackets",
      BYTES("G[T /fast HTTP/1.1\r\n" HOST "\r\n"),
      { 400 },
      .closes = true },
    { "NUL in the target", BYTES("GET /fa\0st HTTP/1.1\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "fragment in the target",
      BYTES("GET /fast#x HTTP/1.1\r\n" HOST "\r\n"),
      { 400 },
      .closes = true },
    { "raw UTF-8 in the target",
      BYTES("GET /\xC3\xA9 HTTP/1.1\r\n" HOST "\r\n"),
      { 400 },
      .closes = true },
    { "relative target", BYTES("GET fast HTTP/1.1\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "asterisk with GET", BYTES("GET * HTTP/1.1\r\n" HOST "\r\n"), { 400 }, .closes = true },
    { "asterisk with OPTIONS", BYTES("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), { 204 } },
    { "absolute form", GET("http://x/fast"), { 200 }, "fast" },
    { "absolute form, query", GET("http://x/query?q=1"), { 200 }, "1" },
    { "absolute form, no path", GET("http://x"), { 404 } },
    { "absolute form, no host", GET("http:///fast"), { 400 }, .closes = true },
    { "absolute form, a user", GET("http://me@x/fast"), { 400 }, .closes = true },
    { "absolute form, half a literal", GET("http://[:/fast"), { 400 }, .closes = true },
    { "absolute form, two ports", GET("http://x:1:2/fast"), { 400 }, .closes = true },
    { "absolute form, another host", GET("http://y/fast"), { 400 }, .closes = true },
    { "absolute form, another port", GET("http://x:81/fast"), { 400 }, .closes = true },
    { "absolute form, the usual port", GET("http://X:80/fast"), { 200 }, "fast" },
    { "absolute form, 1.0",
      BYTES("GET http://x/fast HTTP/1.0\r\n\r\n"),
      { 200 },
      "fast",
      .closes = true },
    { "connect", BYTES("CONNECT x:80 HTTP/1.1\r\n" HOST "\r\n"), { 501 }, .closes = true },
    { "TLS", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"), { 400 }, .closes = true },

    /* lines and fields */
    { "bare LF", BYTES("GET /fast HTTP/1.1\nHost: x\n\n"), { 400 }, .closes = true },
    { "bare LF after a field",
      BYTES("GET /fast HTTP/1.1\r\nHost: x\n\r\n"),
      { 400 },
      .closes = true },
    { "bare LF at the end", BYTES("GET /fast HTTP/1.1\r\nHost: x\r\n\n"), { 400 }, .closes = true },
    { "bare CR in a value", BYTES(WITH("A: b\rc\r\n")), { 400 }, .closes = true },
    { "NUL in a value", BYTES(WITH("A: b\0c\r\n")), { 400 }, .closes = true },
    { "NUL in a name", BYTES(WITH("A\0: b\r\n")), { 400 }, .closes = true },
    { "folded line", BYTES(WITH("A: b\r\n c\r\n")), { 400 }, .closes = true },
    { "folded by a tab", BYTES(WITH("A: b\r\n\tc\r\n")), { 400 }, .closes = true },
    { "space before the first field",
      BYTES("GET /fast HTTP/1.1\r\n Host: x\r\n\r\n"),
      { 400 },
      .closes = true },
    { "space before the colon", BYTES(WITH("A : b\r\n")), { 400 }, .closes = true },
    { "no colon", BYTES(WITH("A\r\n")), { 400 }, .closes = true },
    { "no name", BYTES(WITH(": b\r\n")), { 400 }, .closes = true },
    { "empty value", BYTES(WITH("A:\r\n")), { 200 } },
    { "white space around a value", BYTES(WITH("A: \t b \t\r\n")), { 200 } },
    { "high bytes in a value", BYTES(WITH("A: \x80\xFF\r\n")), { 200 } },
    { "names in any case",
      BYTES("POST /echo HTTP/1.1\r\nhOST: x\r\ncontent-LENGTH: 2\r\n\r\nab"),
      { 200 },
      "ab" },
    { "no host", BYTES("GET /fast HTTP/1.1\r\n\r\n"), { 400 }, .closes = true },
    { "two hosts", BYTES(WITH("Host: x\r\n")), { 400 }, .closes = true },
    { "empty host", BYTES("GET /fast HTTP/1.1\r\nHost:\r\n\r\n"), { 200 } },
    { "host with a space",
      BYTES("GET /fast HTTP/1.1\r\nHost: a b\r\n\r\n"),
      { 400 },
      .closes = true },
    { "host with a path",
      BYTES("GET /fast HTTP/1.1\r\nHost: a/b\r\n\r\n"),
      { 400 },
      .closes = true },
    { "host with a user",
      BYTES("GET /fast HTTP/1.1\r\nHost: a@b\r\n\r\n"),
      { 400 },
      .closes = true },
    { "host of IPv6", HOST_OF("[::1]:8080"), { 200 } },
    { "host with an escape", HOST_OF("a%41"), { 200 } },
    { "host with an empty port", HOST_OF("x:"), { 200 } },
    { "host with two ports", HOST_OF("a:1:2"), { 400 }, .closes = true },
    { "host with a word as port", HOST_OF("x:port"), { 400 }, .closes = true },
    { "host with a port past 16 bits", HOST_OF("x:99999"), { 400 }, .closes = true },
    { "host of a port only", HOST_OF(":80"), { 400 }, .closes = true },
    { "host of half a literal", HOST_OF("["), { 400 }, .closes = true },
    { "host of IPv6 without brackets", HOST_OF("::1"), { 400 }, .closes = true },
    { "host with a zone", HOST_OF("[fe80::1%25eth0]"), { 400 }, .closes = true },
    { "host with half an escape", HOST_OF("%zz"), { 400 }, .closes = true },
    { "host with a bar", HOST_OF("a|b"), { 400 }, .closes = true },
    { "unknown expectation", BYTES(WITH("Expect: wonders\r\n")), { 417 }, .closes = true },

    /* bodies by length */
    { "body",
      BYTES(POST("/echo", "Content-Length: 5\r\nContent-Type: a/b\r\n", "hello") FAST),
      { 200, 200 },
      "hello",
      "Content-Type: a/b" },
    { "empty body", BYTES(POST("/echo", "Content-Length: 0\r\n", "") FAST), { 200, 200 }, "" },
    { "no body", BYTES(POST("/echo", "", "") FAST), { 200, 200 }, "" },
    { "length with zeros",
      BYTES(POST("/echo", "Content-Length: 0005\r\n", "hello") FAST),
      { 200, 200 },
      "hello" },
    { "length of a word",
      BYTES(POST("/echo", "Content-Length: five\r\n", "hello")),
      { 400 },
      .closes = true },
    { "negative length",
      BYTES(POST("/echo", "Content-Length: -5\r\n", "hello")),
      { 400 },
      .closes = true },
    { "positive length",
      BYTES(POST("/echo", "Content-Length: +5\r\n", "hello")),
      { 400 },
      .closes = true },
    { "length in hexadecimal",
      BYTES(POST("/echo", "Content-Length: 0x5\r\n", "hello")),
      { 400 },
      .closes = true },
    { "length with a space",
      BYTES(POST("/echo", "Content-Length: 5 5\r\n", "hello")),
      { 400 },
      .closes = true },
    { "list of lengths",
      BYTES(POST("/echo", "Content-Length: 5, 5\r\n", "hello")),
      { 400 },
      .closes = true },
    { "empty length",
      BYTES(POST("/echo", "Content-Length:\r\n", "hello")),
      { 400 },
      .closes = true },
    { "length past 64 bits",
      BYTES(POST("/echo", "Content-Length: 18446744073709551616\r\n", "hello")),
      { 400 },
      .closes = true },
    { "length of 64 bits",
      BYTES(POST("/echo", "Content-Length: 18446744073709551615\r\n", "hello")),
      { 413 },
      .closes = true },
    { "length twice",
      BYTES(POST("/echo", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
      { 400 },
      .closes = true },
    { "two lengths",
      BYTES(POST("/echo", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello")),
      { 400 },
      .closes = true },
    { "length and chunked",
      BYTES(POST("/echo", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
      { 400 },
      .closes = true },
    { "chunked and length",
      BYTES(POST("/echo", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
      { 400 },
      .closes = true },
    { "body of a GET",
      BYTES(WITH("Content-Length: 5\r\n") "hello"),
      { 200 },
      "fast",
      .may_close = true },
    { "body nobody reads",
      BYTES(POST("/ignore", "Content-Length: 5\r\n", "hello")),
      { 200 },
      "ignored",
      .may_close = true },
    { "body read late",
      BYTES(POST("/echo/late", "Content-Length: 5\r\n", "hello") FAST),
      { 200, 200 },
      "hello" },
    { "body at the limit",
      BYTES(POST("/echo/small", "Content-Length: 16\r\n", "0123456789abcdef") FAST),
      { 200, 200 },
      "0123456789abcdef" },
    { "body past the limit",
      BYTES(POST("/echo/small", "Content-Length: 17\r\n", "0123456789abcdefg")),
      { 413 },
      .may_close = true },

    /* chunked bodies */
    { "chunks",
      CHUNKED("5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n" FAST),
      { 200, 200 },
      "hello, world" },
    { "chunked, no data", CHUNKED("0\r\n\r\n" FAST), { 200, 200 }, "" },
    { "chunk sizes in hexadecimal",
      CHUNKED("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n" FAST),
      { 200, 200 },
      "01234567890123456789a" },
    { "chunk size with zeros",
      CHUNKED("0005\r\nhello\r\n000\r\n\r\n" FAST),
      { 200, 200 },
      "hello" },
    { "chunk extension",
      CHUNKED("5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n" FAST),
      { 200, 200 },
      "hello" },
    { "trailers", CHUNKED("5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n" FAST), { 200, 200 }, "hello" },
    { "data that looks like chunks",
      CHUNKED("5\r\n0\r\n\r\n\r\n0\r\n\r\n" FAST),
      { 200, 200 },
      "0\r\n\r\n" },
    { "coding in any case",
      BYTES(POST("/echo", "Transfer-Encoding: Chunked\r\n", "1\r\na\r\n0\r\n\r\n")),
      { 200 },
      "a" },
    { "chunk size of a word", CHUNKED("x\r\nhello\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "no chunk size", CHUNKED("\r\nhello\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "space before a chunk size", CHUNKED(" 5\r\nhello\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "space after a chunk size", CHUNKED("5 \r\nhello\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "chunk size with 0x", CHUNKED("0x5\r\nhello\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "negative chunk size", CHUNKED("-5\r\nhello\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "chunk size past 64 bits",
      CHUNKED("10000000000000005\r\nhello\r\n0\r\n\r\n"),
      { 400 },
      .closes = true },
    { "chunk size that would wrap around",
      CHUNKED("4\r\nWiki\r\nfffffffffffffffd\r\nabc\r\n0\r\n\r\n"),
      { 400 },
      .closes = true },
    { "chunk size with a bare LF", CHUNKED("5\nhello\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "chunk extension with a bare LF",
      CHUNKED("5;a\nhello\r\n0\r\n\r\n"),
      { 400 },
      .closes = true },
    { "chunk longer than told", CHUNKED("5\r\nhello!\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "chunk shorter than told", CHUNKED("5\r\nhell\r\n0\r\n\r\n"), { 400 }, .closes = true },
    { "chunk without CR", CHUNKED("5\r\nhello\n0\r\n\r\n"), { 400 }, .closes = true },
    { "folded trailer", CHUNKED("0\r\nA: b\r\n c\r\n\r\n"), { 400 }, .closes = true },
    { "trailer without CR", CHUNKED("0\r\nA: b\n\r\n"), { 400 }, .closes = true },
    { "trailer without colon", CHUNKED("0\r\nA b\r\n\r\n"), { 400 }, .closes = true },
    { "unknown coding",
      BYTES(POST("/echo", "Transfer-Encoding: gzip\r\n", "")),
      { 501 },
      .closes = true },
    { "list of codings",
      BYTES(POST("/echo", "Transfer-Encoding: gzip, chunked\r\n", "")),
      { 501 },
      .closes = true },
    { "chunked twice",
      BYTES(POST("/echo", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                 "0\r\n\r\n")),
      { 400 },
      .closes = true },
    { "chunked in 1.0",
      BYTES("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
      { 400 },
      .closes = true },
    { "chunks past the limit",
      BYTES(POST("/echo/small", "Transfer-Encoding: chunked\r\n",
                 "a\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n")),
      { 413 },
      .closes = true },

    /* routes and methods */
    { "unknown path", GET("/nothing"), { 404 }, NULL, "Content-Type: application/problem+json" },
    { "slash at the end", GET("/fast/"), { 404 } },
    { "two slashes", GET("//fast"), { 404 } },
    { "unknown method there",
      BYTES("DELETE /echo HTTP/1.1\r\n" HOST "\r\n"),
      { 405 },
      NULL,
      "Allow: POST, PUT, OPTIONS" },
    { "invented method",
      BYTES("BREW /fast HTTP/1.1\r\n" HOST "\r\n"),
      { 405 },
      NULL,
      "Allow: GET, HEAD, OPTIONS" },
    { "method in lower case", BYTES("get /fast HTTP/1.1\r\n" HOST "\r\n"), { 405 } },
    { "options",
      BYTES("OPTIONS /echo HTTP/1.1\r\n" HOST "\r\n"),
      { 204 },
      "",
      "Allow: POST, PUT, OPTIONS" },
    { "path parameter that is no number", GET("/slow/soon"), { 404 } },
    { "path parameter past 64 bits", GET("/slow/9223372036854775808"), { 404 } },
    { "guarded",
      BYTES(POST("/forbidden", "", "")),
      { 403 },
      NULL,
      "Content-Type: application/problem+json" },
    { "no content", GET("/empty"), { 204 }, "" },
    { "no answer", GET("/no-answer"), { 500 } },
    { "past its time", GET("/short/1000"), { 504 } },
    { "past its memory, then on",
      BYTES("GET /memory HTTP/1.1\r\n" HOST "\r\n"),
      { 503 },
      .closes = true },
    { "response header", GET("/header?value=some%20text"), { 200 }, "set", "X-Value: some text" },
    { "response header of the server's", GET("/header?name=content-length&value=0"), { 500 } },
    { "response header that is no token", GET("/header?name=a%20b&value=0"), { 500 } },
    { "response headers past their room", GET("/headers/100"), { 500 } },
    { "response type with CRLF", GET("/type?type=a/b%0D%0AA:b"), { 500 } },
    { "response header with CRLF", GET("/header?value=a%0D%0Ab:c"), { 500 } },

    { "request about itself",
      GET("/request/123e4567-e89b-12d3-a456-426614174000?limit=7&cursor=a%2Bb"),
      { 200 },
      "GET|1|/request/123e4567-e89b-12d3-a456-426614174000|/request/:id<uuid>|123e4567-e89b-12d3-a456-426614174000|hello from the guard|0|7|a+b|16" },
    { "page that is too long",
      GET("/request/123e4567-e89b-12d3-a456-426614174000?limit=501"),
      { 422 } },
    { "page of nothing", GET("/request/123e4567-e89b-12d3-a456-426614174000?limit=0"), { 422 } },
    { "page of a word", GET("/request/123e4567-e89b-12d3-a456-426614174000?limit=x"), { 422 } },
    { "no uuid", GET("/request/1"), { 404 } },

    /* errors by their class */
    { "invalid", GET("/fail/ERROR_INVALID"), { 400 } },
    { "unauthenticated",
      GET("/fail/ERROR_UNAUTHENTICATED"),
      { 401 },
      NULL,
      "WWW-Authenticate: Bearer" },
    { "forbidden", GET("/fail/ERROR_FORBIDDEN"), { 403 } },
    { "not found", GET("/fail/ERROR_NOT_FOUND"), { 404 } },
    { "conflict", GET("/fail/ERROR_CONFLICT"), { 409 } },
    { "too large", GET("/fail/ERROR_TOO_LARGE"), { 413 } },
    { "too many", GET("/fail/ERROR_TOO_MANY"), { 429 } },
    { "canceled", GET("/fail/ERROR_CANCELED"), { 503 } },
    { "timed out", GET("/fail/ERROR_TIMED_OUT"), { 504 } },
    { "unavailable", GET("/fail/ERROR_UNAVAILABLE"), { 503 }, NULL, "Retry-After: 1" },
    { "internal",
      GET("/fail/ERROR_INTERNAL"),
      { 500 },
      "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,\"detail\":\"As asked for.\"}" },

    /* paths and queries */
    { "encoded slash is data", GET("/segment/a%2Fb"), { 200 }, "a/b" },
    { "rest of a path", GET("/path/a/b%2Fc//d"), { 200 }, "a/b/c//d" },
    { "encoded letters", GET("/%66ast"), { 200 }, "fast" },
    { "encoded UTF-8", GET("/segment/%C3%A9"), { 200 }, "\xC3\xA9" },
    { "encoded half of UTF-8", GET("/segment/%C3"), { 404 } },
    { "encoded NUL", GET("/segment/a%00b"), { 400 } },
    { "broken escape", GET("/segment/%4"), { 400 } },
    { "escape of a word", GET("/segment/%xy"), { 400 } },
    { "dot segments", GET("/path/../segment/./x"), { 200 }, "x" },
    { "encoded dot segments", GET("/path/%2E%2e/segment/%2e/x"), { 200 }, "x" },
    { "dots above the root", GET("/../fast"), { 400 } },
    { "encoded dots above the root", GET("/path/%2e%2e/%2e./fast"), { 400 } },
    { "plus in a path", GET("/segment/a+b"), { 200 }, "a+b" },
    { "query", GET("/query?p=1&q=2&q=3"), { 200 }, "2" },
    { "query with escapes", GET("/query?q=a+b%26c%3D"), { 200 }, "a b&c=" },
    { "query without value", GET("/query?q"), { 200 }, "" },
    { "query that is not there", GET("/query?qq=1"), { 404 } },
    { "query with a broken escape", GET("/query?q=%"), { 400 } },
    { "query with a NUL", GET("/query?q=%00"), { 400 } },

    /* JSON bodies */
    { "item",
      ITEM("{\"name\":\"a\",\"count\":1}", "22"),
      { 201 },
      NULL,
      "Content-Type: application/json" },
    { "item, type with a charset",
      BYTES(POST("/items",
                 "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 22\r\n",
                 "{\"name\":\"a\",\"count\":1}")),
      { 201 } },
    { "item without type",
      BYTES(POST("/items", "Content-Length: 22\r\n", "{\"name\":\"a\",\"count\":1}")),
      { 415 },
      .may_close = true },
    { "item as text",
      BYTES(POST("/items", "Content-Type: text/plain\r\nContent-Length: 22\r\n",
                 "{\"name\":\"a\",\"count\":1}")),
      { 415 },
      .may_close = true },
    { "item without body", BYTES(POST("/items", JSON, "")), { 400 } },
    { "item cut off", ITEM("{\"name\":\"a\",\"count\":1", "21"), { 400 } },
    { "item with more behind", ITEM("{\"name\":\"a\",\"count\":1}x", "23"), { 400 } },
    { "item that is a list", ITEM("[]", "2"), { 422 } },
    { "item with one bad field",
      ITEM("{\"name\":\"\",\"count\":1}", "21"),
      { 422 },
      NULL,
      "Content-Type: application/problem+json" },

    /* files */
    { "file",
      GET("/static/page.html"),
      { 200 },
      "<!doctype html>\n<title>A page</title>\n",
      "Content-Type: text/html; charset=utf-8" },
    { "file, and a request behind it",
      BYTES("GET /static/page.html HTTP/1.1\r\n" HOST "\r\n" FAST),
      { 200, 200 },
      "<!doctype html>\n<title>A page</title>\n" },
    { "file that is not there", GET("/static/none.html"), { 404 } },
    { "folder", GET("/static/"), { 404 } },
    { "file above", GET("/static/../test_protocol.c"), { 404 } },
    { "file above, encoded", GET("/static/%2e%2e%2ftest_protocol.c"), { 404 } },
    { "file above, encoded twice", GET("/static/%252e%252e/test_protocol.c"), { 404 } },
    { "absolute file", GET("/static//etc/passwd"), { 404 } },
    { "file with a backslash", GET("/static/..%5Ctest_protocol.c"), { 404 } },
    { "hidden file", GET("/static/.hidden"), { 404 } },
    { "file in a folder", GET("/static/inner/deep.txt"), { 200 }, "deep\n" },
    { "folder without a slash", GET("/static/inner"), { 404 } },
    { "link to a file", GET("/static/link.html"), { 404 } },
    { "link to a folder", GET("/static/linked/deep.txt"), { 404 } },
    { "link out of the root", GET("/static/out.txt"), { 404 } },
    { "file with a slash behind", GET("/static/page.html/"), { 404 } },
};

/* --- the table, three ways ------------------------------------------------------------------- */

static bool has_header(const answer *a, const char *header)
{
    str rest = a->head;
    while (rest.ptr) {
        if (str_eq(str_trim(str_cut(&rest, '\n'), STR("\r")), str_from_c(header)))
            return true;
    }
    return false;
}

/* Why an answer is not as it should be; NULL when it is. */
static const char *fault_of(const exchange *x, int at, const answer *a)
{
    if (a->status != x->statuses[at])
        return "status";
    if (at == 0 && x->body && !str_eq(a->body, str_from_c(x->body)))
        return "body";
    if (at == 0 && x->header && !has_header(a, x->header))
        return "header";
    const bool last = x->statuses[at + 1] == 0;
    if (!x->may_close && a->closes != (last && x->closes))
        return "Connection";
    if (a->status >= 400 &&
        !str_starts_with(a->body, STR("{\"type\":\"about:blank\",\"title\":\"")))
        return "problem details";
    return NULL;
}

/* Counted, so that one run shows them all. */
static int wrong_answers;

static void check_answers(const exchange *x, peer *p, const char *how, size_t cut)
{
    bool closes = false;
    for (int i = 0; x->statuses[i] && !closes; i++) {
        answer a;
        peer_read(p, false, &a);
        const char *fault = fault_of(x, i, &a);
        if (fault) {
            print_error("%s, %s %zu, answer %d: wrong %s\n%.*s%.*s\n", x->name, how, cut, i, fault,
                        STR_ARG(a.head), STR_ARG(a.body));
            wrong_answers++;
            answer_free(&a);
            return;
        }
        closes = a.closes;
        answer_free(&a);
    }
    if (closes) {
        assert_true(peer_sees_end(p));
        return;
    }
    answer after;
    peer_send(p, STR(FAST));
    peer_read(p, false, &after);
    check_status(x->name, &after, 200);
    answer_free(&after);
}

static void test_exchange_in_one_piece_is_answered(void **state)
{
    (void)state;
    wrong_answers = 0;
    for (size_t i = 0; i < ARRAY_LEN(EXCHANGES); i++) {
        peer p;
        peer_connect(&p, server.port);
        peer_send(&p, EXCHANGES[i].request);
        check_answers(&EXCHANGES[i], &p, "whole", 0);
        peer_close(&p);
    }
    assert_int_equal(wrong_answers, 0);
}

/* All cuts of one exchange at once, each on a connection of its own. */
static void test_exchange_cut_at_every_byte_is_answered_the_same(void **state)
{
    (void)state;
    static peer peers[CUT_BYTES_MAX];
    wrong_answers = 0;
    for (size_t i = 0; i < ARRAY_LEN(EXCHANGES); i++) {
        const exchange *x = &EXCHANGES[i];
        assert_true(x->request.len < CUT_BYTES_MAX);
        for (size_t cut = 1; cut < x->request.len; cut++) {
            peer_connect(&peers[cut], server.port);
            peer_send(&peers[cut], str_slice(x->request, 0, cut));
        }
        test_pause_ms(CUT_PAUSE_MS);
        for (size_t cut = 1; cut < x->request.len; cut++)
            peer_send(&peers[cut], str_slice(x->request, cut, x->request.len));
        for (size_t cut = 1; cut < x->request.len; cut++) {
            check_answers(x, &peers[cut], "cut at", cut);
            peer_close(&peers[cut]);
        }
    }
    assert_int_equal(wrong_answers, 0);
}

static void test_exchange_by_single_bytes_is_answered_the_same(void **state)
{
    (void)state;
    wrong_answers = 0;
    for (size_t i = 0; i < ARRAY_LEN(EXCHANGES); i++) {
        const exchange *x = &EXCHANGES[i];
        peer p;
        peer_connect(&p, server.port);
        for (size_t at = 0; at < x->request.len; at++)
            peer_send(&p, str_slice(x->request, at, 1));
        check_answers(x, &p, "single bytes", 0);
        peer_close(&p);
    }
    assert_int_equal(wrong_answers, 0);
}

/* --- limits ---------------------------------------------------------------------------------- */

/* "GET /fast" with `before`, `count` times `repeated`, `after` somewhere in it. */
static void check_long(const char *name, const char *before, const char *repeated, int count,
                       const char *after, int status)
{
    static char text[LONG_BYTES_MAX];
    peer p;
    answer a;
    size_t len = (size_t)snprintf(text, sizeof text, "%s", before);
    for (int i = 0; i < count && len < sizeof text - 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", repeated);
    len += (size_t)snprintf(text + len, sizeof text - len, "%s", after);
    peer_connect(&p, server.port);
    peer_send(&p, (str){ text, len });
    peer_read(&p, false, &a);
    check_status(name, &a, status);
    assert_true(a.closes == (status == 400 || status == 414 || status == 431));
    if (a.closes)
        assert_true(peer_sees_end(&p));
    answer_free(&a);
    peer_close(&p);
}

static void test_limits_are_answered_by_their_status(void **state)
{
    (void)state;
    const char *end = " HTTP/1.1\r\n" HOST "\r\n", *head = "GET /fast HTTP/1.1\r\n" HOST;
    check_long("longest request line", "GET /", "a", 8192 - 16, end, 404);
    check_long("longer request line", "GET /", "a", 8192 - 15, end, 414);
    check_long("endless method", "G", "E", 60000, "", 414);
    check_long("most fields", head, "A: b\r\n", 99, "\r\n", 200);
    check_long("more fields", head, "A: b\r\n", 100, "\r\n", 431);
    check_long("large field", "GET /fast HTTP/1.1\r\n" HOST "A: ", "a", 32000, "\r\n\r\n", 200);
    check_long("larger field", "GET /fast HTTP/1.1\r\n" HOST "A: ", "a", 32769, "\r\n\r\n", 431);
    check_long("endless name", "GET /fast HTTP/1.1\r\n", "a", 60000, "", 431);
    check_long("long chunk extension",
               "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n1;", "a", 1025,
               "\r\na\r\n0\r\n\r\n", 400);
    check_long("long trailers",
               "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n0\r\n", "A: b\r\n",
               1100, "\r\n", 400);
}

/* The head of an answer has an end too, whatever it is made of. */
static void test_long_type_sent_back_is_refused(void **state)
{
    (void)state;
    const char *echo = "POST /echo HTTP/1.1\r\n" HOST "Content-Type: ";
    check_long("longest type", echo, "a", 1024, "\r\n\r\n", 200);
    check_long("longer type", echo, "a", 1025, "\r\n\r\n", 500);
    check_long("far longer type", echo, "a", 30000, "\r\n\r\n", 500);
}

static void test_body_past_the_limit_by_length_is_refused_before_it_comes(void **state)
{
    (void)state;
    peer p;
    answer a;
    peer_connect(&p, server.port);
    peer_send(&p, STR(POST("/echo", "Content-Length: 1048577\r\nExpect: 100-continue\r\n", "")));
    peer_read(&p, false, &a);
    check_status("too long", &a, 413);
    assert_true(a.closes);
    answer_free(&a);
    assert_true(peer_sees_end(&p));
    peer_close(&p);
}

static void test_body_of_a_mebibyte_comes_back_whole(void **state)
{
    (void)state;
    static char body[1048576];
    peer p;
    answer a;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)(i * 7 + i / 255);
    peer_connect(&p, server.port);
    for (int round = 0; round < 3; round++) {
        peer_sendf(&p, POST("/echo", "Content-Length: %zu\r\n", ""), sizeof body);
        peer_send(&p, (str){ body, sizeof body });
        peer_read(&p, false, &a);
        check_status("echo", &a, 200);
        assert_int_equal(a.body.len, sizeof body);
        assert_memory_equal(a.body.ptr, body, sizeof body);
        answer_free(&a);
    }
    peer_sendf(&p, POST("/echo", "Transfer-Encoding: chunked\r\n", ""));
    for (size_t at = 0, part = 1; at < sizeof body; at += part, part = part * 3 % 60007 + 1) {
        const str data = str_slice((str){ body, sizeof body }, at, part);
        peer_sendf(&p, "%zx\r\n", data.len);
        peer_send(&p, data);
        peer_send(&p, STR("\r\n"));
    }
    peer_send(&p, STR("0\r\n\r\n"));
    peer_read(&p, false, &a);
    check_status("echo of chunks", &a, 200);
    assert_int_equal(a.body.len, sizeof body);
    assert_memory_equal(a.body.ptr, body, sizeof body);
    answer_free(&a);
    peer_close(&p);
}

/* --- conversations --------------------------------------------------------------------------- */

static void expect_text(peer *p, int status, const char *text)
{
    answer a;
    peer_read(p, false, &a);
    check_status(text, &a, status);
    if (!str_eq(a.body, str_from_c(text)))
        print_error("\"%.*s\" instead of \"%s\"\n", STR_ARG(a.body), text);
    assert_true(str_eq(a.body, str_from_c(text)));
    answer_free(&a);
}

static void test_pipeline_of_twenty_is_answered_in_order(void **state)
{
    (void)state;
    char text[4096], expected[32];
    peer p;
    size_t len = 0;
    for (int i = 0; i < 20; i++) {
        if (i % 5 == 3)
            len += (size_t)snprintf(text + len, sizeof text - len,
                                    "GET /slow/%d HTTP/1.1\r\n" HOST "\r\n", 40 - i);
        else if (i % 5 == 1)
            len += (size_t)snprintf(text + len, sizeof text - len,
                                    POST("/echo", "Content-Length: 8\r\n", "%08d"), i);
        else if (i % 5 == 2)
            len += (size_t)snprintf(
                text + len, sizeof text - len,
                POST("/echo/late", "Transfer-Encoding: chunked\r\n", "8\r\n%08d\r\n0\r\n\r\n"), i);
        else
            len += (size_t)snprintf(text + len, sizeof text - len,
                                    "GET /segment/%d HTTP/1.1\r\n" HOST "\r\n", i);
    }
    peer_connect(&p, server.port);
    peer_send(&p, (str){ text, len });
    for (int i = 0; i < 20; i++) {
        (void)snprintf(expected, sizeof expected, i % 5 == 1 || i % 5 == 2 ? "%08d" : "%d", i);
        expect_text(&p, 200, i % 5 == 3 ? "slow" : expected);
    }
    peer_close(&p);
}

/* More than the server reads at once, and more than it keeps unanswered. */
static void test_pipeline_of_thousands_is_answered_in_order(void **state)
{
    (void)state;
    static char text[6000 * 64];
    char expected[16];
    peer p;
    size_t len = 0;
    for (int i = 0; i < 6000; i++)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "GET /segment/%d HTTP/1.1\r\n" HOST "\r\n", i);
    peer_connect(&p, server.port);
    peer_send(&p, (str){ text, len });
    for (int i = 0; i < 6000; i++) {
        (void)snprintf(expected, sizeof expected, "%d", i);
        expect_text(&p, 200, expected);
    }
    peer_close(&p);
}

/* Each in two reads, with time between: its connection waits for the next one as for any other. */
static void test_connection_outlives_requests_in_parts(void **state)
{
    (void)state;
    peer p;
    peer_connect(&p, server.port);
    for (int i = 0; i < 3; i++) {
        peer_sendf(&p, "GET /segment/7 HT");
        test_pause_ms(20);
        peer_sendf(&p, "TP/1.1\r\n" HOST "\r\n");
        expect_text(&p, 200, "7");
        test_pause_ms(20);
    }
    peer_close(&p);
}

static void test_pipeline_ends_at_a_framing_error(void **state)
{
    (void)state;
    peer p;
    answer a;
    peer_connect(&p, server.port);
    peer_send(&p, STR("GET /slow/50 HTTP/1.1\r\n" HOST "\r\n" FAST "BAD\r\n\r\n" FAST FAST));
    expect_text(&p, 200, "slow");
    expect_text(&p, 200, "fast");
    peer_read(&p, false, &a);
    check_status("bad", &a, 400);
    assert_true(a.closes);
    answer_free(&a);
    assert_true(peer_sees_end(&p));
    peer_close(&p);
}

static void test_pipeline_with_a_client_that_ended_is_answered(void **state)
{
    (void)state;
    peer p;
    peer_connect(&p, server.port);
    peer_send(&p, STR("GET /slow/50 HTTP/1.1\r\n" HOST
                      "\r\n" FAST POST("/echo", "Content-Length: 2\r\n", "ab")));
    peer_end(&p);
    expect_text(&p, 200, "slow");
    expect_text(&p, 200, "fast");
    expect_text(&p, 200, "ab");
    assert_true(peer_sees_end(&p));
    peer_close(&p);
}

static void test_client_that_ends_within_a_request_gets_the_end(void **state)
{
    (void)state;
    peer p;
    answer a;
    peer_connect(&p, server.port);
    peer_send(&p, STR("GET /fast HTTP/1.1\r\nHo"));
    peer_end(&p);
    assert_true(peer_sees_end(&p));
    peer_close(&p);
    peer_connect(&p, server.port);
    peer_send(&p, STR(POST("/echo", "Content-Length: 5\r\n", "hel")));
    peer_end(&p);
    peer_read(&p, false, &a);
    check_status("half a body", &a, 400);
    answer_free(&a);
    assert_true(peer_sees_end(&p));
    peer_close(&p);
}

static void test_expectation_is_met_when_the_body_is_wanted(void **state)
{
    (void)state;
    peer p;
    answer a;
    peer_connect(&p, server.port);
    for (int round = 0; round < 2; round++) {
        peer_send(&p, STR(POST("/echo", "Content-Length: 5\r\nExpect: 100-Continue\r\n", "")));
        peer_read(&p, false, &a);
        check_status("continue", &a, 100);
        answer_free(&a);
        peer_send(&p, STR("hello"));
        expect_text(&p, 200, "hello");
    }
    peer_send(&p, STR(POST("/forbidden", "Content-Length: 5\r\nExpect: 100-continue\r\n", "")));
    peer_read(&p, false, &a);
    check_status("refused by the guard, body unseen", &a, 403);
    assert_true(a.closes);
    answer_free(&a);
    assert_true(peer_sees_end(&p));
    peer_close(&p);
}

static void test_head_is_answered_without_a_body(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *length;
        bool closes;
    } rows[] = {
        { "/fast", 200, "4", false },       { "/static/page.html", 200, "38", false },
        { "/nothing", 404, NULL, false },   { "/echo", 405, NULL, false },
        { "/empty", 204, NULL, false },     { "/no-answer", 500, NULL, false },
        { "/fault/null", 500, NULL, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        peer p;
        answer a;
        peer_connect(&p, server.port);
        peer_sendf(&p, "HEAD %s HTTP/1.1\r\n" HOST "\r\n", rows[i].path);
        peer_read(&p, true, &a);
        check_status(rows[i].path, &a, rows[i].status);
        assert_true(a.closes == rows[i].closes);
        if (rows[i].length)
            assert_true(str_eq(answer_header(&a, "content-length"), str_from_c(rows[i].length)));
        answer_free(&a);
        if (rows[i].closes) {
            assert_true(peer_sees_end(&p));
        } else {
            peer_send(&p, STR(FAST));
            expect_text(&p, 200, "fast");
        }
        peer_close(&p);
    }
}

static void test_invalid_item_is_answered_with_every_bad_field(void **state)
{
    (void)state;
    static const char body[] =
        "{\"name\":\"\",\"count\":101,\"mail\":\"nobody\",\"tags\":[\"a\",2,\"c\"],\"extra\":1}";
    static const char *const paths[] = { "name", "count", "mail", "tags[1]", "extra" };
    peer p;
    answer a;
    peer_connect(&p, server.port);
    peer_sendf(&p, POST("/items", JSON "Content-Length: %zu\r\n", "%s"), strlen(body), body);
    peer_read(&p, false, &a);
    check_status("item", &a, 422);
    assert_true(str_eq(answer_header(&a, "content-type"), STR("application/problem+json")));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "{\"path\":\"%s\",\"code\":", paths[i]);
        if (!strstr(a.body.ptr, wanted))
            print_error("no %s in %s\n", wanted, a.body.ptr);
        assert_non_null(strstr(a.body.ptr, wanted));
    }
    answer_free(&a);
    peer_close(&p);
}

/* The list of faults has a ceiling; past it the answer is brief, and still an answer. */
static void test_item_with_thousands_of_bad_fields_is_refused(void **state)
{
    (void)state;
    static char body[120000];
    peer p;
    answer a;
    size_t len = (size_t)snprintf(body, sizeof body, "{");
    for (int i = 0; i < 8000; i++)
        len += (size_t)snprintf(body + len, sizeof body - len, "%s\"x%d\":1", i ? "," : "", i);
    len += (size_t)snprintf(body + len, sizeof body - len, "}");
    peer_connect(&p, server.port);
    peer_sendf(&p, POST("/items", JSON "Content-Length: %zu\r\n", ""), len);
    peer_send(&p, (str){ body, len });
    peer_read(&p, false, &a);
    check_status("item", &a, 422);
    assert_true(str_starts_with(a.body, STR("{\"type\":\"about:blank\"")));
    assert_true(str_ends_with(a.body, STR("}")));
    answer_free(&a);
    peer_send(&p, STR(FAST));
    expect_text(&p, 200, "fast");
    peer_close(&p);
}

static void test_big_answers_come_whole_to_a_slow_reader(void **state)
{
    (void)state;
    peer p;
    answer a;
    peer_connect(&p, server.port);
    for (int i = 0; i < 3; i++)
        peer_send(&p, STR("GET /big/8000000 HTTP/1.1\r\n" HOST "\r\n"));
    test_pause_ms(300);
    for (int i = 0; i < 3; i++) {
        peer_read(&p, false, &a);
        check_status("big", &a, 200);
        assert_int_equal(a.body.len, 8000000);
        for (size_t at = 0; at < a.body.len; at++)
            assert_true(a.body.ptr[at] == (char)('a' + at % 26));
        answer_free(&a);
    }
    peer_close(&p);
}

static void test_clients_that_reset_harm_nobody(void **state)
{
    (void)state;
    static const str beginnings[] = {
        BYTES(""),
        BYTES("GET /fa"),
        BYTES(FAST),
        BYTES("GET /slow/30 HTTP/1.1\r\n" HOST "\r\n"),
        BYTES(POST("/echo", "Content-Length: 5\r\n", "hel")),
        BYTES("GET /big/8000000 HTTP/1.1\r\n" HOST "\r\n"),
        BYTES(POST("/echo/late", "Transfer-Encoding: chunked\r\n", "5\r\nhe")),
        BYTES("BAD\r\n"),
        BYTES("GET /static/page.html HTTP/1.1\r\n" HOST "\r\n"),
    };
    for (int round = 0; round < 90; round++) {
        peer p;
        peer_connect(&p, server.port);
        peer_send(&p, beginnings[(size_t)round % ARRAY_LEN(beginnings)]);
        if (round % 3)
            test_pause_ms(round % 5);
        peer_reset(&p);
    }
    check_get("/fast", 200);
}

/* Waits for the requests of clients that have gone: they end later than those. */
static void nobody_is_left(void)
{
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS;
         (int)http_metric(server.port, "http_connections") != 1;) {
        assert_true(test_clock_ms() < end_ms);
        test_pause_ms(5);
    }
}

static void test_metrics_count_answers_by_their_class(void **state)
{
    (void)state;
    static const struct {
        const char *metric;
        const char *path;
        int status;
    } rows[] = {
        { "http_requests_total{class=\"2xx\"}", "/fast", 200 },
        { "http_requests_total{class=\"4xx\"}", "/nothing", 404 },
        { "http_requests_total{class=\"5xx\"}", "/no-answer", 500 },
        { "http_request_duration_seconds_count", "/fast", 200 },
        { "http_connections_accepted_total", "/fast", 200 },
    };
    nobody_is_left();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const int before = (int)http_metric(server.port, rows[i].metric);
        check_get(rows[i].path, rows[i].status);
        check_get(rows[i].path, rows[i].status);
        const int counted = (int)http_metric(server.port, rows[i].metric) - before;
        /* asking for the metrics is a request too */
        assert_int_equal(counted, rows[i].status == 200 ? 3 : 2);
    }
}

/* Everything above on one process, and nothing is left over: a leak would be its exit status. */
static void test_server_ends_with_nothing_left(void **state)
{
    (void)state;
    kill(server.pid, SIGTERM);
    const int status = server_wait(&server);
    if (status != 0)
        server_print_log(&server);
    assert_int_equal(status, 0);
}

static void test_access_log_has_a_line_a_request(void **state)
{
    (void)state;
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=1", "HTTP_ACCESS_LOG=on"));
    check_get("/query?q=%22%0A", 200);
    check_get("/nothing", 404);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_true(
        server_logged(&server, "\"method\":\"GET\",\"target\":\"/query?q=%22%0A\",\"status\":200"));
    assert_true(server_logged(&server, "\"target\":\"/nothing\",\"status\":404"));
    assert_true(server_logged(&server, "\"request_id\":\""));
}

/* --- slow clients and too many ---------------------------------------------------------------- */

static void serve_impatiently(void)
{
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=1", "HTTP_HEADER_TIMEOUT=1s", "HTTP_BODY_TIMEOUT=1s",
                      "HTTP_BODY_RATE_MIN=1", "HTTP_FIRST_BYTE_TIMEOUT=1s",
                      "HTTP_IDLE_TIMEOUT=1s"));
}

/* A used connection; tried again while those before it are still being closed. */
static void connect_in_turn(peer *p)
{
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS;; test_pause_ms(5)) {
        answer a;
        peer_connect(p, server.port);
        peer_send(p, STR(FAST));
        peer_read(p, false, &a);
        const int status = a.status;
        answer_free(&a);
        if (status == 200)
            return;
        peer_close(p);
        assert_true(test_clock_ms() < end_ms);
    }
}

static void expect_end_with(peer *p, const char *what, int status)
{
    answer a;
    peer_read(p, false, &a);
    check_status(what, &a, status);
    answer_free(&a);
    assert_true(peer_sees_end(p));
    peer_close(p);
}

static void test_slow_clients_are_not_waited_for(void **state)
{
    (void)state;
    peer idle, used, head, body, chunks;
    serve_impatiently();
    peer_connect(&idle, server.port);
    connect_in_turn(&used);
    peer_connect(&head, server.port);
    peer_connect(&body, server.port);
    peer_connect(&chunks, server.port);
    peer_send(&head, STR("GET /fast HTTP/1.1\r\nHo"));
    peer_send(&body, STR(POST("/echo", "Content-Length: 5\r\n", "hel")));
    peer_send(&chunks, STR(POST("/echo", "Transfer-Encoding: chunked\r\n", "5\r\nhel")));
    expect_end_with(&head, "half a head", 408);
    expect_end_with(&body, "half a body", 408);
    expect_end_with(&chunks, "half a chunk", 408);
    assert_true(peer_sees_end(&idle));
    assert_true(peer_sees_end(&used));
    peer_close(&idle);
    peer_close(&used);
}

/* A byte now and then does not keep a head alive; in a body it does. */
static void test_dripping_clients_get_as_far_as_allowed(void **state)
{
    (void)state;
    peer head, body;
    serve_impatiently();
    peer_connect(&head, server.port);
    peer_connect(&body, server.port);
    peer_send(&body, STR(POST("/echo", "Content-Length: 25\r\n", "")));
    for (int i = 0; i < 25; i++) {
        peer_send(&head, STR("G"));
        peer_send(&body, STR("b"));
        test_pause_ms(60);
    }
    expect_text(&body, 200, "bbbbbbbbbbbbbbbbbbbbbbbbb");
    peer_close(&body);
    expect_end_with(&head, "dripped head", 408);
}

/* The answer takes longer than a connection may idle: it is not idle. */
static void test_slow_reader_that_reads_gets_all(void **state)
{
    (void)state;
    char some[65536];
    size_t total = 0;
    serve_impatiently();
    peer p;
    peer_connect(&p, server.port);
    peer_send(&p, STR("GET /big/30000000 HTTP/1.1\r\n" HOST "\r\n"));
    for (int reads = 0;; reads++) {
        const ssize_t got = recv(p.fd, some, sizeof some, 0);
        assert_true(got >= 0);
        if (got == 0)
            break;
        total += (size_t)got;
        if (reads % 8 == 0 && total < 20000000)
            test_pause_ms(50);
    }
    assert_true(total > 30000000);
    peer_close(&p);
}

static void test_slow_reader_that_pauses_gets_all(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_impatiently();
    peer_connect(&p, server.port);
    peer_send(&p, STR("GET /big/30000000 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
    test_pause_ms(2500);
    peer_read(&p, false, &a);
    check_status("after a pause", &a, 200);
    assert_int_equal(a.body.len, 30000000);
    answer_free(&a);
    peer_close(&p);
}

static void test_client_that_never_reads_is_not_waited_for(void **state)
{
    (void)state;
    peer p[2];
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=1", "HTTP_WRITE_TIMEOUT=500ms", "HTTP_IDLE_TIMEOUT=1s"));
    peer_connect(&p[0], server.port);
    peer_connect(&p[1], server.port);
    peer_send(&p[0], STR("GET /big/30000000 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
    peer_send(&p[1], STR("GET /big/30000000 HTTP/1.1\r\n" HOST "\r\n"));
    nobody_is_left();
    peer_close(&p[0]);
    peer_close(&p[1]);
}

static void test_handler_past_its_time_is_answered_504(void **state)
{
    (void)state;
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=1", "HTTP_HANDLER_TIMEOUT=300ms"));
    check_get("/slow/20000", 504);
    check_get("/short/20000", 504);
    check_get("/long/1000", 200); /* a route may have more time than the configuration gives */
}

static void test_connections_past_the_limit_displace_the_oldest_idle(void **state)
{
    (void)state;
    peer crowd[6];
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CONNECTIONS_MAX=5"));
    for (int i = 0; i < 5; i++)
        connect_in_turn(&crowd[i]);
    connect_in_turn(&crowd[5]);
    assert_true(peer_sees_end(&crowd[0]));
    for (int i = 0; i < 6; i++)
        peer_close(&crowd[i]);
}

/* --- main ------------------------------------------------------------------------------------ */

static int setup(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=0", "HTTP_REQUEST_MEMORY_MAX=32M"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_in_one_piece_is_answered),
        cmocka_unit_test(test_exchange_cut_at_every_byte_is_answered_the_same),
        cmocka_unit_test(test_exchange_by_single_bytes_is_answered_the_same),
        cmocka_unit_test(test_limits_are_answered_by_their_status),
        cmocka_unit_test(test_long_type_sent_back_is_refused),
        cmocka_unit_test(test_body_past_the_limit_by_length_is_refused_before_it_comes),
        cmocka_unit_test(test_body_of_a_mebibyte_comes_back_whole),
        cmocka_unit_test(test_pipeline_of_twenty_is_answered_in_order),
        cmocka_unit_test(test_pipeline_of_thousands_is_answered_in_order),
        cmocka_unit_test(test_connection_outlives_requests_in_parts),
        cmocka_unit_test(test_pipeline_ends_at_a_framing_error),
        cmocka_unit_test(test_pipeline_with_a_client_that_ended_is_answered),
        cmocka_unit_test(test_client_that_ends_within_a_request_gets_the_end),
        cmocka_unit_test(test_expectation_is_met_when_the_body_is_wanted),
        cmocka_unit_test(test_head_is_answered_without_a_body),
        cmocka_unit_test(test_invalid_item_is_answered_with_every_bad_field),
        cmocka_unit_test(test_item_with_thousands_of_bad_fields_is_refused),
        cmocka_unit_test(test_big_answers_come_whole_to_a_slow_reader),
        cmocka_unit_test(test_metrics_count_answers_by_their_class),
        cmocka_unit_test(test_clients_that_reset_harm_nobody),
        cmocka_unit_test(test_server_ends_with_nothing_left),
        cmocka_unit_test(test_access_log_has_a_line_a_request),
        cmocka_unit_test(test_slow_clients_are_not_waited_for),
        cmocka_unit_test(test_dripping_clients_get_as_far_as_allowed),
        cmocka_unit_test(test_slow_reader_that_reads_gets_all),
        cmocka_unit_test(test_slow_reader_that_pauses_gets_all),
        cmocka_unit_test(test_client_that_never_reads_is_not_waited_for),
        cmocka_unit_test(test_handler_past_its_time_is_answered_504),
        cmocka_unit_test(test_connections_past_the_limit_displace_the_oldest_idle),
    };
    return cmocka_run_group_tests(tests, setup, server_teardown);
}
