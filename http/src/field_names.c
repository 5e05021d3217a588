/* The hash is of a name's length and three of its letters; the multipliers were searched for until
 * no two names met. A name added here needs another search: test_field_names.c finds a collision
 * out. */
#include "field_names.h"

#define SLOTS 64U

static const str TEXTS[HTTP_FIELD_NAMES] = {
    [HTTP_FIELD_HOST] = { "host", 4 },
    [HTTP_FIELD_CONNECTION] = { "connection", 10 },
    [HTTP_FIELD_CONTENT_LENGTH] = { "content-length", 14 },
    [HTTP_FIELD_CONTENT_TYPE] = { "content-type", 12 },
    [HTTP_FIELD_TRANSFER_ENCODING] = { "transfer-encoding", 17 },
    [HTTP_FIELD_EXPECT] = { "expect", 6 },
    [HTTP_FIELD_ACCEPT] = { "accept", 6 },
    [HTTP_FIELD_ACCEPT_ENCODING] = { "accept-encoding", 15 },
    [HTTP_FIELD_ACCEPT_LANGUAGE] = { "accept-language", 15 },
    [HTTP_FIELD_AUTHORIZATION] = { "authorization", 13 },
    [HTTP_FIELD_COOKIE] = { "cookie", 6 },
    [HTTP_FIELD_USER_AGENT] = { "user-agent", 10 },
    [HTTP_FIELD_REFERER] = { "referer", 7 },
    [HTTP_FIELD_ORIGIN] = { "origin", 6 },
    [HTTP_FIELD_RANGE] = { "range", 5 },
    [HTTP_FIELD_IF_RANGE] = { "if-range", 8 },
    [HTTP_FIELD_IF_MATCH] = { "if-match", 8 },
    [HTTP_FIELD_IF_NONE_MATCH] = { "if-none-match", 13 },
    [HTTP_FIELD_IF_MODIFIED_SINCE] = { "if-modified-since", 17 },
    [HTTP_FIELD_IF_UNMODIFIED_SINCE] = { "if-unmodified-since", 19 },
    [HTTP_FIELD_UPGRADE] = { "upgrade", 7 },
    [HTTP_FIELD_FORWARDED] = { "forwarded", 9 },
    [HTTP_FIELD_X_FORWARDED_FOR] = { "x-forwarded-for", 15 },
    [HTTP_FIELD_X_FORWARDED_PROTO] = { "x-forwarded-proto", 17 },
    [HTTP_FIELD_X_REQUEST_ID] = { "x-request-id", 12 },
    [HTTP_FIELD_TRACEPARENT] = { "traceparent", 11 },
    [HTTP_FIELD_TRACESTATE] = { "tracestate", 10 },
    [HTTP_FIELD_LAST_EVENT_ID] = { "last-event-id", 13 },
    [HTTP_FIELD_CONTENT_ENCODING] = { "content-encoding", 16 },
    [HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD] = { "access-control-request-method", 29 },
    [HTTP_FIELD_ACCESS_CONTROL_REQUEST_HEADERS] = { "access-control-request-headers", 30 },
    [HTTP_FIELD_CACHE_CONTROL] = { "cache-control", 13 },
    [HTTP_FIELD_TE] = { "te", 2 },
    [HTTP_FIELD_TRAILER] = { "trailer", 7 },
    [HTTP_FIELD_SEC_WEBSOCKET_KEY] = { "sec-websocket-key", 17 },
    [HTTP_FIELD_SEC_WEBSOCKET_VERSION] = { "sec-websocket-version", 21 },
};

static const uint8_t BY_HASH[SLOTS] = {
    [0] = HTTP_FIELD_X_FORWARDED_FOR,
    [1] = HTTP_FIELD_CONTENT_LENGTH,
    [2] = HTTP_FIELD_IF_UNMODIFIED_SINCE,
    [3] = HTTP_FIELD_TRAILER,
    [6] = HTTP_FIELD_IF_NONE_MATCH,
    [10] = HTTP_FIELD_CACHE_CONTROL,
    [12] = HTTP_FIELD_SEC_WEBSOCKET_VERSION,
    [13] = HTTP_FIELD_CONTENT_ENCODING,
    [14] = HTTP_FIELD_TRANSFER_ENCODING,
    [15] = HTTP_FIELD_UPGRADE,
    [16] = HTTP_FIELD_ACCEPT_ENCODING,
    [17] = HTTP_FIELD_IF_MODIFIED_SINCE,
    [19] = HTTP_FIELD_USER_AGENT,
    [21] = HTTP_FIELD_HOST,
    [23] = HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD,
    [25] = HTTP_FIELD_X_REQUEST_ID,
    [28] = HTTP_FIELD_TRACESTATE,
    [30] = HTTP_FIELD_ACCEPT_LANGUAGE,
    [32] = HTTP_FIELD_ORIGIN,
    [33] = HTTP_FIELD_X_FORWARDED_PROTO,
    [34] = HTTP_FIELD_REFERER,
    [38] = HTTP_FIELD_COOKIE,
    [40] = HTTP_FIELD_TE,
    [41] = HTTP_FIELD_CONTENT_TYPE,
    [42] = HTTP_FIELD_LAST_EVENT_ID,
    [44] = HTTP_FIELD_SEC_WEBSOCKET_KEY,
    [47] = HTTP_FIELD_CONNECTION,
    [48] = HTTP_FIELD_IF_RANGE,
    [51] = HTTP_FIELD_ACCESS_CONTROL_REQUEST_HEADERS,
    [52] = HTTP_FIELD_AUTHORIZATION,
    [53] = HTTP_FIELD_RANGE,
    [55] = HTTP_FIELD_TRACEPARENT,
    [56] = HTTP_FIELD_IF_MATCH,
    [60] = HTTP_FIELD_ACCEPT,
    [61] = HTTP_FIELD_EXPECT,
    [63] = HTTP_FIELD_FORWARDED,
};

static uint32_t lower(char c)
{
    return (unsigned char)c | 0x20U; /* of letters; what else meets is told apart by the text */
}

static uint32_t slot_of(str name)
{
    const uint32_t hash = (uint32_t)name.len * 242U + lower(name.ptr[0]) * 1U +
                          lower(name.ptr[name.len - 1]) * 181U +
                          lower(name.ptr[name.len / 2]) * 96U;
    return (hash >> 2) % SLOTS;
}

http_field_name http_field_name_of(str name)
{
    if (name.len == 0)
        return HTTP_FIELD_OTHER;
    const http_field_name found = (http_field_name)BY_HASH[slot_of(name)];
    return str_eq_nocase(TEXTS[found], name) ? found : HTTP_FIELD_OTHER;
}

str http_field_name_text(http_field_name name)
{
    return TEXTS[name];
}
