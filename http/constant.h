/* Answers that are the same for everybody, declared as constant data:
 *
 *   HTTP_CONSTANT(robots,
 *                 .content_type = "text/plain",
 *                 .fields = { { "Cache-Control", "max-age=86400" } },
 *                 .tagged = true,
 *                 .body = STR("User-agent: *\nDisallow: /admin\n"));
 *
 *   static error show_robots(http_request *req)
 *   {
 *       return http_reply_constant(req, &robots);
 *   }
 *
 * A worker puts head and body together when it first sends one, and from then on copies them, with
 * the time of the second: less work than any other answer. */
#ifndef HTTP_CONSTANT_H
#define HTTP_CONSTANT_H

#include "http/request.h"

#define HTTP_CONSTANT_FIELDS_MAX 8

typedef struct http_constant_field {
    const char *name;
    const char *value;
} http_constant_field;

typedef struct http_constant {
    int status;               /* 0: 200 */
    const char *content_type; /* NULL: none */
    str body;
    /* As for http_set_header, 2 KiB of them at most; a NULL name ends the list. */
    http_constant_field fields[HTTP_CONSTANT_FIELDS_MAX];
    /* Has a strong ETag, made of type and body, as http_etag makes it. Only with 200. */
    bool tagged;
    struct http_prebuilt **prebuilt; /* HTTP_CONSTANT's own: what the worker has put together */
} http_constant;

/* Declares a constant answer, in a file or in a function: its members as designated initialisers.
 * All of them are constant expressions, so nothing of one client's can ever get into it. Expands to
 *   static struct http_prebuilt *NAME_prebuilt;
 *   static const http_constant NAME = { .prebuilt = &NAME_prebuilt, … } */
#define HTTP_CONSTANT(name_, ...)                  \
    static struct http_prebuilt *name_##_prebuilt; \
    static const http_constant name_ = { .prebuilt = &name_##_prebuilt, __VA_ARGS__ }

/* Stages it, like any http_reply…: another call replaces it, its fields too; layers see it as an
 * answer of these fields, this type and this body, and what they add or change is heeded. To a GET
 * or HEAD a `tagged` one is 304 when If-None-Match names it.
 *   fails  HTTP_PRECONDITION_FAILED when If-Match does not name it; of a constant that is wrong
 *          HTTP_BAD_HEADER, HTTP_BAD_STATUS; OUT_OF_MEMORY for its first */
error http_reply_constant(http_request *req, const http_constant *constant);

#endif
