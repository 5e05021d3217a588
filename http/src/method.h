/* The request methods and their names (RFC 9110 section 9; RFC 5789 for PATCH). */
#ifndef HTTP_SRC_METHOD_H
#define HTTP_SRC_METHOD_H

#include "core/arena.h"
#include "core/str.h"
#include "http/request.h"

/* HTTP_METHOD_OTHER for a name that is none of them; names have case. */
http_method http_method_of(str name);
/* "GET"; "?" for what has no name. */
const char *http_method_name(http_method method);
/* "GET, HEAD": those whose bit (1 << method) is set in `methods`, in `a`. */
str http_method_list(arena *a, uint32_t methods);

#endif
