/* Fields that a request may bring in several lines of one name. */
#ifndef HTTP_SRC_HEAD_FIELDS_H
#define HTTP_SRC_HEAD_FIELDS_H

#include "head.h"

#include "core/arena.h"

/* The value of the only field of that name; STR_NONE when there are none or several. */
str http_head_only(const http_head *head, str name);
/* A list in as many fields as it may stand in (RFC 9110, 5.3), with ", " between them; in `a` when
 * they are several. STR_NONE without one. */
str http_head_list(arena *a, const http_head *head, str name);

#endif
