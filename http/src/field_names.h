/* The field names that the engine or its users ask for most, found by a perfect hash: of each there
 * is an index of the first field of that name, so a lookup costs the same in a head of any size. */
#ifndef HTTP_SRC_FIELD_NAMES_H
#define HTTP_SRC_FIELD_NAMES_H

#include "core/str.h"

typedef enum http_field_name {
    HTTP_FIELD_OTHER = 0,
    HTTP_FIELD_HOST,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_ACCEPT,
    HTTP_FIELD_ACCEPT_ENCODING,
    HTTP_FIELD_ACCEPT_LANGUAGE,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_COOKIE,
    HTTP_FIELD_USER_AGENT,
    HTTP_FIELD_REFERER,
    HTTP_FIELD_ORIGIN,
    HTTP_FIELD_RANGE,
    HTTP_FIELD_IF_RANGE,
    HTTP_FIELD_IF_MATCH,
    HTTP_FIELD_IF_NONE_MATCH,
    HTTP_FIELD_IF_MODIFIED_SINCE,
    HTTP_FIELD_IF_UNMODIFIED_SINCE,
    HTTP_FIELD_UPGRADE,
    HTTP_FIELD_FORWARDED,
    HTTP_FIELD_X_FORWARDED_FOR,
    HTTP_FIELD_X_FORWARDED_PROTO,
    HTTP_FIELD_X_REQUEST_ID,
    HTTP_FIELD_TRACEPARENT,
    HTTP_FIELD_TRACESTATE,
    HTTP_FIELD_LAST_EVENT_ID,
    HTTP_FIELD_CONTENT_ENCODING,
    HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD,
    HTTP_FIELD_ACCESS_CONTROL_REQUEST_HEADERS,
    HTTP_FIELD_CACHE_CONTROL,
    HTTP_FIELD_TE,
    HTTP_FIELD_TRAILER,
    HTTP_FIELD_SEC_WEBSOCKET_KEY,
    HTTP_FIELD_SEC_WEBSOCKET_VERSION,
    HTTP_FIELD_NAMES,
} http_field_name;

/* Which one it is, compared without case. */
http_field_name http_field_name_of(str name);
/* Its text, in lower case: for tests. */
str http_field_name_text(http_field_name name);

#endif
