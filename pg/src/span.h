/* What is told to who follows a pool (pg/trace.h). Nothing here is called without a trace. */
#ifndef PG_SRC_SPAN_H
#define PG_SRC_SPAN_H

#include "pool.h"

/* It begins: `tracer` is of the pool's trace, `span` has what is known of it so far. */
void pg_span_start(const pg_pool *pool, const pg_tracer *tracer, pg_span *span);
/* It has ended; `c` is the connection it had, or NULL.
 *   began_us  by the loop's clock */
void pg_span_end(const pg_pool *pool, const pg_tracer *tracer, pg_span *span, const pg_conn *c,
                 uint64_t began_us, error e);
/* The same where the rest of `span` is known already. */
void pg_span_tell_end(const pg_tracer *tracer, pg_span *span, error e);

#endif
