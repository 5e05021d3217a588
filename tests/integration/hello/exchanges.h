/* What is asked of hello, and what it answers: over sockets and in the test's own process. */
#ifndef TESTS_INTEGRATION_HELLO_EXCHANGES_H
#define TESTS_INTEGRATION_HELLO_EXCHANGES_H

#include "core/str.h"

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define HOST                     "Host: x\r\n"
#define GET(p_)                  BYTES("GET " p_ " HTTP/1.1\r\n" HOST "\r\n")
#define POST(p_, fields_, body_) BYTES("POST " p_ " HTTP/1.1\r\n" HOST fields_ "\r\n" body_)

static const struct exchange {
    const char *name;
    str request;
    int status;
    const char *type;
    const char *body; /* NULL: any */
    bool is_head;
} EXCHANGES[] = {
    { "root", GET("/"), 200, "text/plain; charset=utf-8", "Hello, World!" },
    { "plaintext", GET("/plaintext"), 200, "text/plain; charset=utf-8", "Hello, World!" },
    { "json", GET("/json"), 200, "application/json", "{\"message\":\"Hello, World!\"}" },
    { "head of json", BYTES("HEAD /json HTTP/1.1\r\n" HOST "\r\n"), 200, "application/json", "",
      .is_head = true },
    { "echo", POST("/echo", "Content-Type: a/b; c=d\r\nContent-Length: 6\r\n", "\0\r\n\xFF{x"), 200,
      "a/b; c=d", NULL },
    { "echo of chunks",
      POST("/echo", "Content-Type: text/x\r\nTransfer-Encoding: chunked\r\n",
           "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
      200, "text/x", "abcde" },
    { "echo without a type", POST("/echo", "Content-Length: 2\r\n", "hi"), 200,
      "application/octet-stream", "hi" },
    { "echo of nothing", POST("/echo", "Content-Length: 0\r\n", ""), 200,
      "application/octet-stream", "" },
    { "cookie", BYTES("GET /cookie HTTP/1.1\r\n" HOST "Cookie: a=1; b=\"two\"; c\r\n\r\n"), 200,
      "text/plain; charset=utf-8", "a=1; b=\"two\"; c" },
    { "no cookie", GET("/cookie"), 200, "text/plain; charset=utf-8", "" },
    { "file", GET("/static/index.html"), 200, "text/html; charset=utf-8", NULL },
    { "file that is not there", GET("/static/none.html"), 404, "application/problem+json", NULL },
    { "file above", GET("/static/../hello.c"), 404, "application/problem+json", NULL },
    { "file above, encoded", GET("/static/%2e%2e/hello.c"), 404, "application/problem+json", NULL },
    { "no route", GET("/nothing"), 404, "application/problem+json", NULL },
    { "wrong method", POST("/json", "Content-Length: 0\r\n", ""), 405, "application/problem+json",
      NULL },
};

#endif
