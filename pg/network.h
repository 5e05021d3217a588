/* PostgreSQL's addresses: hosts and networks of IP, and those of Ethernet.
 *
 * Every parse function reads the whole text, returns false on anything that is not one value as the
 * server writes it, and then leaves `*out` alone. Every format function gives what the server
 * writes; the text lives in `a`. */
#ifndef PG_NETWORK_H
#define PG_NETWORK_H

#include "core/arena.h"
#include "core/scalar.h"

/* An address and the length of its network's prefix: inet, and cidr, which has no bits behind the
 * prefix. As a parameter it is an inet; the server makes a cidr of it for a column of that type. */
typedef struct pg_inet {
    uint8_t version; /* 4 or 6 */
    uint8_t prefix;  /* 0 to 32, 0 to 128 */
    bool cidr;
    uint8_t bytes[16]; /* in network order; of version 4 the first four, the others 0 */
} pg_inet;

typedef struct pg_macaddr {
    uint8_t bytes[6];
} pg_macaddr;

typedef struct pg_macaddr8 {
    uint8_t bytes[8];
} pg_macaddr8;

SCALAR_OPTIONAL(pg_inet, pg_inet);
SCALAR_OPTIONAL(pg_macaddr, pg_macaddr);
SCALAR_OPTIONAL(pg_macaddr8, pg_macaddr8);
SCALAR_LIST(pg_inet, pg_inet);
SCALAR_LIST(pg_macaddr, pg_macaddr);
SCALAR_LIST(pg_macaddr8, pg_macaddr8);

/* "10.0.0.1", "10.0.0.1/8", "::1"; an inet of one host is without its prefix, a cidr always has
 * one. (inet::text, a cast, always has one too.) What is parsed is an inet. */
str pg_inet_format(arena *a, const pg_inet *inet);
bool pg_inet_parse(str text, pg_inet *out);
/* The same as a cidr; false also when there are bits behind the prefix. */
bool pg_inet_parse_cidr(str text, pg_inet *out);
/* "08:00:2b:01:02:03", "08:00:2b:01:02:03:04:05". */
str pg_macaddr_format(arena *a, const pg_macaddr *macaddr);
bool pg_macaddr_parse(str text, pg_macaddr *out);
str pg_macaddr8_format(arena *a, const pg_macaddr8 *macaddr);
bool pg_macaddr8_parse(str text, pg_macaddr8 *out);

#endif
