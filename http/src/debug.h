/* The debug endpoint: the requests in flight. */
#ifndef HTTP_SRC_DEBUG_H
#define HTTP_SRC_DEBUG_H

#include "conn.h"

/* Adds it to the router when HTTP_DEBUG_PATH is set; lives in `a`.
 *   fails  CONFIG_INVALID without HTTP_DEBUG_TOKEN; HTTP_ROUTES_INVALID */
error http_debug_add(arena *a, const http_settings *settings, router *r);
/* Another worker asks what this one is doing: tells the roster. On the loop, by loop_on_signal;
 * `arg` is the http_server. */
void http_debug_tell(int signo, void *arg);

#endif
