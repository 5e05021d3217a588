/* Accept-Encoding (RFC 9110, 12.5.3): which content codings a client takes, and how gladly. */
#ifndef HTTP_SRC_ACCEPT_H
#define HTTP_SRC_ACCEPT_H

#include "core/str.h"

/* In the order of preference where a client has none: the smallest results first. */
typedef enum http_coding {
    HTTP_CODING_BR = 0,
    HTTP_CODING_ZSTD,
    HTTP_CODING_GZIP,
    HTTP_CODING_IDENTITY,
    HTTP_CODINGS,
} http_coding;

#define HTTP_QUALITY_MAX 1000

typedef struct http_accepted {
    uint16_t quality[HTTP_CODINGS]; /* in thousandths; 0: not to be sent */
} http_accepted;

/* The name as Content-Encoding has it: "br". */
str http_coding_name(http_coding coding);
/* Reads the field's value, all its lines joined by commas; STR_NONE when the client sent none. That
 * stands for identity alone: a client that says nothing cannot be trusted to unpack. What cannot be
 * read is skipped, member by member. */
http_accepted http_accept_encoding(str value);
/* The best of the codings in `offered` (bit n: http_coding n), identity among them or not. Identity
 * when none of them is taken. */
http_coding http_accept_best(const http_accepted *accepted, uint32_t offered);
/* The same of `count` codings besides identity; of those that a client likes as much, the first. */
http_coding http_accept_first(const http_accepted *accepted, const http_coding *offered,
                              size_t count);

#endif
