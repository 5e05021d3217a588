/* Token buckets by key, in memory that processes share, without a lock.
 *
 * A bucket is one number: when it will be full again. A request moves it on by the time that one
 * token takes, unless it would then be further ahead than a whole bucket takes. The table is as
 * large as it was made: sets of a cache line, four buckets each. A new key takes over the bucket of
 * its set that is the first to be full, with what is still missing in it: forgetting would let
 * those through who send more keys than there is room for. */
#ifndef HTTP_SRC_RATE_TABLE_H
#define HTTP_SRC_RATE_TABLE_H

#include "core/error.h"
#include "core/str.h"

#define HTTP_RATE_WAYS 4

/* `interval_ns` a token, and how many a full bucket has; their product is below 2^62. */
typedef struct http_rate {
    uint64_t interval_ns;
    uint64_t burst;
} http_rate;

typedef struct http_rate_bucket {
    _Atomic uint64_t tag;        /* the key's hash; 0: never used */
    _Atomic uint64_t full_at_ns; /* of the monotonic clock */
} http_rate_bucket;

typedef struct http_rate_table {
    uint64_t seed; /* random, so that nobody can aim at another's bucket */
    uint64_t set_mask;
    http_rate_bucket *buckets;
} http_rate_table;

typedef struct http_rate_result {
    bool allowed;
    uint64_t left;    /* tokens */
    uint64_t wait_ns; /* until there is one; 0 when there is */
    uint64_t full_ns; /* until the bucket is full */
} http_rate_result;

/* Maps an empty table for at least `keys` keys, shared with the processes forked from now on.
 *   fails  SYSTEM_FAILED */
error http_rate_table_open(http_rate_table *table, uint32_t keys);
/* Unmaps it; safe twice. */
void http_rate_table_close(http_rate_table *table);
/* Takes a token of the key's bucket, if there is one. */
http_rate_result http_rate_take(const http_rate_table *table, http_rate rate, str key,
                                uint64_t now_ns);

#endif
