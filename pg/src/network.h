/* The binary form of an inet: family, prefix, whether it is a cidr, the address's length, and it.
 */
#ifndef PG_SRC_NETWORK_H
#define PG_SRC_NETWORK_H

#include "pg/network.h"

/* Reads all of `bytes`; false when they are no inet, or no cidr where that is wanted. */
bool pg_inet_read(str bytes, bool cidr, pg_inet *out);
/* The bytes that pg_inet_put writes, and that; it returns their end. */
size_t pg_inet_size(const pg_inet *inet);
char *pg_inet_put(const pg_inet *inet, char *at);

#endif
