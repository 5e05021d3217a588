/* What the fields of a head say of its message: where the body ends, and whether the connection
 * goes on (RFC 9112, sections 6 and 9.3). The same for requests and replies; a message that two
 * parsers could end in different places is refused. */
#ifndef HTTP_SRC_FRAMING_H
#define HTTP_SRC_FRAMING_H

#include "field_names.h"

typedef struct http_framing {
    bool keep_alive;
    bool chunked;
    bool has_content_length;
    uint64_t content_length; /* 0 without one */

    uint8_t minor_version; /* of HTTP/1.x */
    uint32_t lengths;      /* fields seen */
    uint32_t codings;
    bool close; /* wins over keep-alive, in whatever order they stand */
} http_framing;

/* Of a message of HTTP/1.`minor_version` without fields. */
void http_framing_init(http_framing *framing, uint8_t minor_version);
/* Takes one field; most say nothing here. Returns 0, or the status for a request that is refused,
 * and why. */
uint16_t http_framing_take(http_framing *framing, http_field_name name, str value,
                           const char **reason);
/* After the last field; returns as http_framing_take. */
uint16_t http_framing_finish(http_framing *framing, const char **reason);

#endif
