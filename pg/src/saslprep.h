/* SASLprep (RFC 4013) as PostgreSQL applies it to passwords before SCRAM: what looks the same
 * becomes the same bytes, however it was typed. */
#ifndef PG_SRC_SASLPREP_H
#define PG_SRC_SASLPREP_H

#include "core/arena.h"
#include "core/error.h"

/* The password prepared. ASCII, what is not UTF-8, and what SASLprep does not allow stay as they
 * are, as on the server.
 *   fails  OUT_OF_MEMORY
 *   owns   the result lives in `a`, or is `password` itself */
error pg_saslprep(arena *a, str password, str *out);

#endif
