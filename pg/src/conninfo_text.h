/* A connection string, taken apart into its parameters; what the values mean is not looked at. */
#ifndef PG_SRC_CONNINFO_TEXT_H
#define PG_SRC_CONNINFO_TEXT_H

#include "parameters.h"

/* Sets what the text gives.
 *   text   "postgresql://user:password@host:port,host:port/database?parameter=value", all parts
 *          optional and percent-encoded, [v6] as a host; also postgres://. Or pairs:
 *          "host=db dbname='a b'". The last of two equal parameters counts
 *   fails  PG_CONNINFO_INVALID: malformed, too long, a parameter that is unknown or not supported;
 *          OUT_OF_MEMORY
 *   owns   the values live in `a` */
error pg_conninfo_text_parse(arena *a, str text, pg_parameters *out);

#endif
