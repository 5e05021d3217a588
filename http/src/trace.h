/* traceparent (W3C Trace Context, level 1): "00-" trace id "-" parent id "-" flags. */
#ifndef HTTP_SRC_TRACE_H
#define HTTP_SRC_TRACE_H

#include "core/str.h"

#define TRACE_ID_LEN        32
#define TRACE_SPAN_LEN      16
#define TRACE_FLAG_SAMPLED  1U
#define TRACE_STATE_LEN_MAX 512

typedef struct http_traceparent {
    str trace_id;  /* lower-case hexadecimal digits, not all zero: views of the text */
    str parent_id; /* the same */
    uint8_t flags;
} http_traceparent;

/* False for what the standard calls invalid. Of a version above 00 the known part is read. */
bool http_traceparent_parse(str text, http_traceparent *out);

#endif
