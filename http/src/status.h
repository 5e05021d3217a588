/* Status codes of answers (RFC 9110, 15). */
#ifndef HTTP_SRC_STATUS_H
#define HTTP_SRC_STATUS_H

#include "core/str.h"

#include <stdbool.h>

/* The reason phrase of a registered code; of another its class's name. Never empty. */
str http_status_text(int status);

/* Whether such an answer may end a request: an interim one (1xx) comes before it. */
static inline bool http_status_is_final(int status)
{
    return status >= 200 && status <= 599;
}

/* Whether something follows the head, be it of length 0. */
static inline bool http_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

#endif
