/* Authorities: whom a request is for, as Host and a target in absolute-form name it.
 *
 * uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2), all of it checked: a name with whole
 * escapes, an IPv4 address, or a literal in brackets. No user names (RFC 9110, 4.2.4) and no zones
 * of IPv6 addresses. */
#ifndef HTTP_SRC_AUTHORITY_H
#define HTTP_SRC_AUTHORITY_H

#include "core/str.h"

typedef struct http_authority {
    str host;     /* as it stands, a literal with its brackets; "" where there is no authority */
    int32_t port; /* -1: none was said */
} http_authority;

/* Takes `s` apart, which may be empty: of a target without an authority (RFC 9112, 3.2). False when
 * it is none, and on a port without a host. */
bool http_authority_parse(str s, http_authority *out);
/* Whether it would: faster, for what nearly every request has. */
bool http_is_authority(str s);
/* Whether both name one host and port. `usual_port`: the one that is meant where none is said. */
bool http_authority_same(const http_authority *a, const http_authority *b, int32_t usual_port);
/* Whether it is an IPv6 address, brackets and all. */
bool http_is_ip6_literal(str s);

#endif
