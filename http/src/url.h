/* URLs that are called: http and https, strictly (RFC 3986, RFC 9110 section 4.2). What parsers
 * disagree about, and so could be let through by one and called by another, is refused: user names,
 * backslashes, odd escapes, numbers that some resolvers take for addresses. */
#ifndef HTTP_SRC_URL_H
#define HTTP_SRC_URL_H

#include "core/arena.h"
#include "core/str.h"

#define HTTP_URL_BYTES_MAX  8192
#define HTTP_HOST_BYTES_MAX 253

typedef struct http_url {
    bool tls;      /* https */
    bool is_ip6;   /* `host` is one, without its brackets */
    uint16_t port; /* 1..65535 */
    str host;      /* in lower case: a DNS name, an IPv4 or IPv6 address */
    str authority; /* as Host has it: the port only when it is not the scheme's own */
    str target;    /* path and query as they are sent, dot-segments removed; begins with '/' */
    str text;      /* all of it, without a fragment */
} http_url;

/* Takes a URL apart. The result is of `a`, or of `text`. Returns NULL, or what is wrong with it. */
const char *http_url_parse(arena *a, str text, http_url *out);
/* The URL that `reference` means in a document at `base` (RFC 3986, section 5.2); else as above. */
const char *http_url_resolve(arena *a, const http_url *base, str reference, http_url *out);
/* Whether both are of one scheme, host and port. */
bool http_url_same_origin(const http_url *a, const http_url *b);

#endif
