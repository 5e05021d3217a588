/* Who a request comes from when proxies stand in front: IP addresses, the networks whose word
 * counts, and what X-Forwarded-For and Forwarded (RFC 7239) say. */
#ifndef HTTP_SRC_PROXY_H
#define HTTP_SRC_PROXY_H

#include "core/arena.h"
#include "core/error.h"
#include "core/stream.h"
#include "http/request.h"

#define HTTP_TRUST_NETWORKS_MAX 64
#define HTTP_HOPS_MAX           64

/* IPv4 as ::ffff:a.b.c.d. */
typedef struct http_ip {
    uint8_t bytes[16];
} http_ip;

typedef enum http_proxy_field {
    HTTP_PROXY_X_FORWARDED_FOR = 0,
    HTTP_PROXY_FORWARDED,
} http_proxy_field;

/* Which peers are proxies whose word counts. */
typedef struct http_trust {
    uint32_t count;
    bool unix_sockets;
    http_proxy_field field; /* the one that they write; the other is the client's */
    struct {
        http_ip base;
        uint8_t bits; /* of 128 */
    } networks[HTTP_TRUST_NETWORKS_MAX];
} http_trust;

/* The hops that a request's fields name, oldest first; of more than HTTP_HOPS_MAX the newest. */
typedef struct http_hops {
    uint32_t count; /* all of them; hop n is at n % HTTP_HOPS_MAX */
    bool known[HTTP_HOPS_MAX];
    http_ip ips[HTTP_HOPS_MAX];
} http_hops;

/* Takes numeric addresses of both kinds, without a zone. */
bool http_ip_parse(str text, http_ip *out);
/* False for a Unix socket, and for no address. */
bool http_ip_of(const address *at, http_ip *out);
/* "192.0.2.1", "2001:db8::1" */
str http_ip_text(arena *a, const http_ip *ip);

/* Reads "10.0.0.0/8, ::1 unix": networks, addresses and the word for Unix sockets.
 *   fails  CONFIG_INVALID, naming what is wrong */
error http_trust_parse(str text, http_trust *out);
bool http_trusts(const http_trust *trust, const http_ip *ip);

/* Adds what one field says. What cannot be read becomes an unknown hop. */
void http_hops_add(http_hops *hops, http_proxy_field field, str value);
/* The newest hop that is not trusted, else the oldest. False when an unknown hop stands before it,
 * or there is none. */
bool http_hops_client(const http_hops *hops, const http_trust *trust, http_ip *out);

/* Whether the request comes straight from a trusted proxy. */
bool http_peer_is_trusted(const http_request *req);
/* The client's address; NULL when unknown. In the request's memory. */
const http_ip *http_client_ip(http_request *req);
/* Its text, if somebody has asked for it before; else STR_NONE. For code on the loop. */
str http_client_known(const http_request *req);

#endif
