/* Conditional requests (RFC 9110, 13), and the entity tags they are about. */
#ifndef HTTP_SRC_CONDITIONAL_H
#define HTTP_SRC_CONDITIONAL_H

#include "core/str.h"

/* What identifies the representation that would be sent. */
typedef struct http_validators {
    str etag; /* "\"x\"" or "W/\"x\"" */
    int64_t modified_s;
    bool modified_strong; /* no other state of it can have the same date */
} http_validators;

/* The fields of a request; each with all its lines joined by commas, STR_NONE when absent. */
typedef struct http_conditions {
    str if_match;
    str if_unmodified_since;
    str if_none_match;
    str if_modified_since;
    str if_range;
} http_conditions;

typedef enum http_condition {
    HTTP_CONDITION_MET = 1,      /* go on */
    HTTP_CONDITION_NOT_MODIFIED, /* 304 */
    HTTP_CONDITION_FAILED,       /* 412 */
} http_condition;

/* Evaluates all but If-Range for a GET or HEAD, in the order of 13.2.2. */
http_condition http_conditions_check(const http_conditions *c, const http_validators *v,
                                     int64_t now_s);
/* Whether a Range may be heeded: there is no If-Range, or it names just this state (13.1.5). */
bool http_if_range_holds(const http_conditions *c, const http_validators *v, int64_t now_s);
/* Whether a list of entity tags, or "*", has `etag`. A strong comparison fails for weak tags. What
 * is no list of tags has none. */
bool http_etags_have(str list, str etag, bool strong);

#endif
