/* Names of hosts to addresses, for as long as the one who asks can wait. */
#ifndef PG_SRC_LOOKUP_H
#define PG_SRC_LOOKUP_H

#include "conn.h"

#include "core/stream.h"

#define PG_ADDRESSES_MAX 8 /* of a host */

typedef struct pg_addresses {
    address items[PG_ADDRESSES_MAX];
    size_t count;
} pg_addresses;

/* Finds the addresses of a host, for the connection that the fiber opens. The system's resolver
 * cannot be interrupted: the fiber goes on at its deadline, and what is found too late is dropped,
 * or goes to the next one who asks for the same name meanwhile.
 *   yields  when it is a name
 *   fails   as address_resolve; as pg_conn_await */
YIELDS error pg_lookup_addresses(pg_conn *c, str name, uint16_t port, pg_addresses *out);

#endif
