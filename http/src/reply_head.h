/* The head of a reply that somebody else's server sends (RFC 9112, section 4): status line and
 * header fields. Resumable and strict like the head of a request, whose reader of lines and fields
 * it shares. */
#ifndef HTTP_SRC_REPLY_HEAD_H
#define HTTP_SRC_REPLY_HEAD_H

#include "fields.h"
#include "framing.h"

#include "http/request.h"

typedef enum http_reply_result {
    HTTP_REPLY_INCOMPLETE = 1,
    HTTP_REPLY_DONE,
    HTTP_REPLY_BAD,       /* `reason` is set; nothing after it may be parsed */
    HTTP_REPLY_TOO_LARGE, /* the same */
} http_reply_result;

/* Where its body ends (RFC 9112, section 6.3). */
typedef enum http_reply_body {
    HTTP_REPLY_NO_BODY = 0,
    HTTP_REPLY_SIZED, /* after Content-Length bytes, at least one */
    HTTP_REPLY_CHUNKED,
    HTTP_REPLY_UNTIL_CLOSE,
} http_reply_body;

typedef struct http_reply_head {
    /* valid when DONE */
    uint16_t status; /* 100..599 */
    uint8_t minor_version;
    http_framing framing;
    size_t bytes;       /* of the whole head, its empty line included */
    const char *reason; /* when BAD or TOO_LARGE */

    uint8_t state;
    http_lines lines;
    http_fields fields; /* slices of the bytes given last */
} http_reply_head;

/* Forgets everything but what needs no reset. */
void http_reply_head_init(http_reply_head *head);
/* `bytes` begin with the head's first byte, and with what was given before. A head has at most
 * `bytes_max` of them and HTTP_FIELDS_MAX fields. */
http_reply_result http_reply_head_parse(http_reply_head *head, str bytes, size_t bytes_max);
/* What follows the head of a reply to a request of that method. */
http_reply_body http_reply_body_of(const http_reply_head *head, http_method asked);
/* Whether another reply may follow that one on its connection. */
bool http_reply_keeps_alive(const http_reply_head *head, http_method asked);

#endif
