/* What is asked of a server's certificate, and what we show it: the TLS configuration that a
 * connection string's ssl* parameters make. */
#ifndef PG_SRC_ENCRYPTION_H
#define PG_SRC_ENCRYPTION_H

#include "conninfo.h"

#include "core/tls.h"
#include "pg/hooks.h"

#define PG_ALPN "postgresql"

/* Makes it; reads its files, and asks `hooks` (may be NULL) for the key's password. `*out`: NULL
 * when no connection can have TLS: sslmode=disable, or only Unix sockets.
 *   fails  PG_CONNINFO_INVALID: a file that is missing, that OpenSSL cannot use, or a private key
 *          that others can read, or whose password is wrong or not to be had; OUT_OF_MEMORY */
error pg_encryption_config(const pg_conninfo *info, const pg_hooks *hooks, tls_config **out);

#endif
