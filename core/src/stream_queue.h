/* What a stream's owner has written and nobody has sent: slices of blocks, oldest first, each with
 * a reference to its block. */
#ifndef CORE_SRC_STREAM_QUEUE_H
#define CORE_SRC_STREAM_QUEUE_H

#include "core/block.h"
#include "core/str.h"

#include <sys/uio.h>

#define STREAM_QUEUE_INLINE 4 /* entries without memory of their own */

typedef struct stream_slice {
    block *block;
    const char *ptr; /* into the block */
    size_t len;
} stream_slice;

typedef struct stream_queue {
    stream_slice *slices; /* [first, first + count) */
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
    stream_slice inline_slices[STREAM_QUEUE_INLINE];
} stream_queue;

void stream_queue_init(stream_queue *q);
/* Drops everything; safe twice. */
void stream_queue_deinit(stream_queue *q);
/* Drops all slices. */
void stream_queue_clear(stream_queue *q);

/* Room for up to `bytes` (at most BLOCK_CAPACITY) at the end, in the newest slice's block while
 * that is ours alone; NULL without memory. */
char *stream_queue_reserve(stream_queue *q, size_t bytes);
/* `bytes` of that room were written. */
void stream_queue_commit(stream_queue *q, size_t bytes);
/* Adds a slice of `b` and a reference to it; false without memory. */
bool stream_queue_add(stream_queue *q, block *b, str bytes);

/* The oldest bytes that lie together; empty when there are none. */
str stream_queue_front(const stream_queue *q);
/* The oldest slices, in at most `max` entries; returns their number. */
int stream_queue_view(const stream_queue *q, struct iovec *iov, int max);
/* Takes the oldest `bytes` off. */
void stream_queue_drop(stream_queue *q, size_t bytes);
/* Bytes in all of it. */
size_t stream_queue_bytes(const stream_queue *q);

#endif
