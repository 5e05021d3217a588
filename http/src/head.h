/* The head of an HTTP/1.1 request (RFC 9112): request line and header fields, parsed in place.
 *
 * Resumable: the caller keeps the bytes of an incomplete head together and calls again with more.
 * They may have moved meanwhile: all state is offsets. No byte is looked at twice. Strict: whatever
 * two parsers could read differently is refused. */
#ifndef HTTP_SRC_HEAD_H
#define HTTP_SRC_HEAD_H

#include "fields.h"

#include "core/str.h"
#include "http/request.h"

typedef struct http_head_limits {
    uint32_t request_line_bytes_max; /* 414 past it */
    uint32_t fields_bytes_max;       /* 431 */
    uint32_t fields_max;             /* 431; at most HTTP_FIELDS_MAX */
} http_head_limits;

typedef enum http_head_result {
    HTTP_HEAD_INCOMPLETE = 1,
    HTTP_HEAD_DONE,
    HTTP_HEAD_BAD, /* `status` and `reason` are set; nothing after it may be parsed */
} http_head_result;

typedef struct http_head {
    /* valid when DONE; slices are of the bytes given last */
    http_method method;
    str method_name;
    str target;
    uint8_t minor_version; /* of HTTP/1.x: 0, or 1 for all later ones */
    bool keep_alive;
    bool chunked;
    bool has_content_length;
    bool expects_continue;
    uint64_t content_length; /* 0 without one */
    size_t bytes;            /* of the whole head, its empty line included */
    /* valid when BAD */
    uint16_t status;
    const char *reason;

    /* the parser's own */
    uint8_t state;
    http_lines lines;
    uint32_t fields_start;
    uint32_t method_at, method_len, target_at, target_len;

    http_fields fields; /* all of them, when DONE */
} http_head;

/* Forgets everything but what needs no reset. */
void http_head_init(http_head *head);
/* `bytes` begin with the head's first byte, and with what was given before. */
http_head_result http_head_parse(http_head *head, str bytes, const http_head_limits *limits);
/* The first field of that name, or STR_NONE. When DONE. */
str http_head_find(const http_head *head, str name);

#endif
