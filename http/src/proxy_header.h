/* The header that a proxy puts before a connection's own bytes to tell whose it is: the PROXY
 * protocol, versions 1 (a line of text) and 2 (binary). Nothing here waits or keeps: bytes in, an
 * answer out. */
#ifndef HTTP_SRC_PROXY_HEADER_H
#define HTTP_SRC_PROXY_HEADER_H

#include "proxy.h"

#define HTTP_PROXY_LINE_BYTES_MAX   107  /* version 1, with its end */
#define HTTP_PROXY_HEADER_BYTES_MAX 8192 /* version 2, with all that it adds */

typedef enum http_proxy_result {
    HTTP_PROXY_HEADER_INCOMPLETE = 0,
    HTTP_PROXY_HEADER_DONE,
    HTTP_PROXY_HEADER_BAD,
} http_proxy_result;

/* Who is at the other end, as the header has it. */
typedef enum http_proxy_source {
    HTTP_PROXY_SOURCE_PEER = 0, /* whoever made the connection: LOCAL and UNKNOWN */
    HTTP_PROXY_SOURCE_IP,
    HTTP_PROXY_SOURCE_NONE, /* somebody without an IP address: a Unix socket */
} http_proxy_source;

typedef struct http_proxy_header {
    size_t bytes; /* of it; the connection's own begin behind them */
    http_proxy_source source;
    http_ip ip; /* of SOURCE_IP */
} http_proxy_header;

/* Reads a header that begins at the first of `bytes`, all that has come so far. The answer to more
 * bytes is the same once it is DONE or BAD; INCOMPLETE is said of fewer than
 * HTTP_PROXY_HEADER_BYTES_MAX bytes only. */
http_proxy_result http_proxy_header_parse(str bytes, http_proxy_header *out);

#endif
