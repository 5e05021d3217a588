/* Directories as routes: see HTTP_FILES. */
#ifndef HTTP_SRC_FILES_H
#define HTTP_SRC_FILES_H

#include "http/http.h"

/* Whether a route whose handler is http_files can be served.
 *   fails  HTTP_ROUTES_INVALID, naming the route and its directory */
error http_files_check(const http_route *route, const char *pattern);

#endif
